/** What a test tells a peer to do in its namespace. Texts are latin1: a character is a byte. */
export type PeerOrder = { readonly id: number } & PeerWork;

export type PeerWork =
  | { readonly kind: 'open'; readonly host: string; readonly port: number }
  | { readonly kind: 'send'; readonly connection: number; readonly text: string; readonly end: boolean }
  | {
      readonly kind: 'receive';
      readonly connection: number;
      readonly until: string;
      readonly deadlineMs: number;
    }
  | { readonly kind: 'close'; readonly connection: number }
  | {
      readonly kind: 'call';
      readonly host: string;
      readonly port: number;
      readonly headers: Record<string, string>;
      readonly body: string | null;
    }
  | {
      readonly kind: 'exchange';
      readonly host: string;
      readonly port: number;
      readonly requests: readonly string[];
    }
  | { readonly kind: 'serve-echo'; readonly port: number }
  | { readonly kind: 'serve-script'; readonly port: number }
  | { readonly kind: 'recorded' };

export type PeerAnswer =
  | { readonly id: number; readonly kind: 'done'; readonly value: unknown }
  | { readonly id: number; readonly kind: 'failed'; readonly message: string };

/** What came of a request. */
export interface Reply {
  readonly status: number;
  readonly body: string;
}
