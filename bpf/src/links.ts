import { native } from './native.ts';

/** A watch on the links of a network namespace. */
export interface LinkWatch {
  /** Ends the watch and lets the event loop go. Closing twice is the same as once. */
  close(): void;
}

/**
 * Calls back after links, addresses or routes of this network namespace have changed (rtnetlink); a burst of changes
 * makes few calls. What has changed is to be looked up.
 */
export function watchLinks(onChange: () => void): LinkWatch {
  const poller = native.watchLinks(onChange);
  return Object.freeze({ close: () => native.close(poller) });
}
