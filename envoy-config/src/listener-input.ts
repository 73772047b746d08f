import type { ProxyPort } from './settings.ts';

/** What a listener is made of. None of it changes while the class lives, so it is never drained. */
export interface ListenerInput {
  readonly classId: string;
  readonly port: ProxyPort;
  /** Both sides have rules: requests also pass the verdict filter. */
  readonly pair: boolean;
}
