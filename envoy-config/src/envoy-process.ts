import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { askAdmin } from './envoy-admin.ts';
import { isAlive, type ProcessIdentity, processIdentity } from './proc.ts';

/** The Envoy that was started, as it is kept over restarts of the agent. */
export interface ProcessRecord extends ProcessIdentity {
  /** SHA-256 (hex) of the bootstrap and arguments that it was started with. */
  readonly bootstrapDigest: string;
}

/** Keeps the record over restarts of the agent. */
export interface ProcessStore {
  load(): ProcessRecord | null;
  save(record: ProcessRecord | null): void;
}

/** Watches a process that may not be our child (a pidfd); `exited` resolves when it is gone. */
export interface ProcessWatch {
  readonly exited: Promise<void>;
  close(): void;
}

/** Where the process stands. */
export type EnvoyState =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'starting'; readonly pid: number }
  | { readonly kind: 'ready'; readonly pid: number }
  | { readonly kind: 'backing-off'; readonly failures: number; readonly restartInMs: number };

/** What happened to the process, for logs and metrics. */
export type EnvoyEvent =
  | { readonly kind: 'started'; readonly pid: number }
  | { readonly kind: 'adopted'; readonly pid: number }
  | { readonly kind: 'ready'; readonly pid: number; readonly afterMs: number }
  | { readonly kind: 'exited'; readonly pid: number; readonly restartInMs: number }
  | { readonly kind: 'unable-to-start'; readonly message: string; readonly restartInMs: number };

/** What the supervisor needs from outside. */
export interface EnvoyProcessOptions {
  /** The Envoy executable. */
  readonly binaryPath: string;
  /** Written before each start; see `envoyBootstrap`. */
  readonly bootstrap: string;
  readonly bootstrapPath: string;
  /** Gets standard output and error, appended. */
  readonly logPath: string;
  /** The admin socket that the bootstrap names. */
  readonly adminSocketPath: string;
  /** Worker threads. */
  readonly concurrency: number;
  /** trace, debug, info, warning, error, critical, off. */
  readonly logLevel: string;
  /** Words to put before the program, which exec it: `nsenter` and a namespace say; none in production. */
  readonly enter: readonly string[];
  readonly store: ProcessStore;
  readonly watchProcess: (pid: number) => ProcessWatch;
  readonly onEvent: (event: EnvoyEvent) => void;
}

/** One supervised Envoy, which outlives the supervisor. */
export interface EnvoyProcess {
  readonly state: EnvoyState;
  /**
   * Adopts the recorded process when it still lives, else starts one. Resolves when the process
   * exists; see {@link EnvoyProcess.ready} for more. From then on it is restarted whenever it ends.
   * @throws Error when it cannot be started at all.
   */
  start(): Promise<'adopted' | 'started'>;
  /** Resolves when the admin socket answers /ready with LIVE; rejects after the deadline with what was seen. */
  ready(deadlineMs: number): Promise<void>;
  /** Ends it: SIGTERM, then SIGKILL after the deadline. It stays ended. */
  stop(deadlineMs: number): Promise<void>;
  /** Stops watching and leaves Envoy running, for the next agent. */
  detach(): void;
}

/** A process that lived so long did not fail at its start: the next start waits for nothing. */
const settledAfterMs = 5_000;
const firstBackoffMs = 100;
const longestBackoffMs = 5_000;
/** How often to ask whether it is ready: often while it starts, less when it waits for its xDS server. */
const readyIntervalMs = 10;
const longReadyIntervalMs = 100;
/** How long a process may take to end before the next, harder means. */
const stopMs = 5_000;

/** Makes a supervisor; nothing runs before `start`. */
export function createEnvoyProcess(options: EnvoyProcessOptions): EnvoyProcess {
  const { adminSocketPath, bootstrapPath, store, onEvent } = options;
  const args = argumentsOf(options);
  const bootstrapDigest = createHash('sha256')
    .update(JSON.stringify([options.bootstrap, args]))
    .digest('hex');

  let state: EnvoyState = { kind: 'stopped' };
  let wanted = false;
  let failures = 0;
  let watch: ProcessWatch | null = null;
  let restart: NodeJS.Timeout | null = null;

  async function launch(): Promise<void> {
    const staging = `${bootstrapPath}.new`;
    writeFileSync(staging, options.bootstrap, { mode: 0o600 });
    renameSync(staging, bootstrapPath);
    const child = await spawnDetached(options, args);
    const identity = child.pid === undefined ? null : processIdentity(child.pid);
    if (identity === null) throw new Error(`Envoy ended while it started; see ${options.logPath}`);
    store.save({ ...identity, bootstrapDigest });
    onEvent({ kind: 'started', pid: identity.pid });
    follow(identity.pid);
  }

  function follow(pid: number): void {
    const since = performance.now();
    const watching = options.watchProcess(pid);
    watch = watching;
    state = { kind: 'starting', pid };
    void untilReady(adminSocketPath, Number.POSITIVE_INFINITY, () => watch === watching).then(
      () => {
        if (watch !== watching) return;
        state = { kind: 'ready', pid };
        onEvent({ kind: 'ready', pid, afterMs: performance.now() - since });
      },
      () => undefined,
    );
    void watching.exited.then(() => {
      if (watch !== watching) return;
      watch = null;
      watching.close();
      if (!wanted) return;
      failures = performance.now() - since >= settledAfterMs ? 0 : failures + 1;
      const restartInMs = scheduleRestart();
      onEvent({ kind: 'exited', pid, restartInMs });
    });
  }

  function scheduleRestart(): number {
    const restartInMs = failures === 0 ? 0 : Math.min(longestBackoffMs, firstBackoffMs * 2 ** (failures - 1));
    state = { kind: 'backing-off', failures, restartInMs };
    restart = setTimeout(() => {
      restart = null;
      launch().catch((error: unknown) => {
        if (!wanted) return;
        failures += 1;
        const message = error instanceof Error ? error.message : String(error);
        onEvent({ kind: 'unable-to-start', message, restartInMs: scheduleRestart() });
      });
    }, restartInMs);
    return restartInMs;
  }

  function unwatch(): void {
    wanted = false;
    if (restart !== null) clearTimeout(restart);
    restart = null;
    watch?.close();
    watch = null;
    state = { kind: 'stopped' };
  }

  return {
    get state() {
      return state;
    },
    async start() {
      if (wanted) throw new Error('this Envoy is already supervised');
      wanted = true;
      const recorded = store.load();
      if (recorded !== null && isAlive(recorded)) {
        if (recorded.bootstrapDigest === bootstrapDigest) {
          onEvent({ kind: 'adopted', pid: recorded.pid });
          follow(recorded.pid);
          return 'adopted';
        }
        await terminate(recorded, stopMs);
      }
      try {
        await quitUnrecorded(adminSocketPath);
        await launch();
      } catch (error) {
        unwatch();
        throw error;
      }
      return 'started';
    },
    ready: (deadlineMs) => untilReady(adminSocketPath, deadlineMs, () => wanted),
    async stop(deadlineMs) {
      unwatch();
      const recorded = store.load();
      if (recorded !== null) await terminate(recorded, deadlineMs);
      store.save(null);
    },
    detach: unwatch,
  };
}

/**
 * No hot restart: it would want a base id that no other Envoy on the machine has, and a new process
 * could not take over connections anyway.
 */
function argumentsOf(options: EnvoyProcessOptions): readonly string[] {
  const { bootstrapPath, concurrency, logLevel } = options;
  return [
    '-c',
    bootstrapPath,
    '--concurrency',
    `${concurrency}`,
    '--log-level',
    logLevel,
    '--disable-hot-restart',
  ];
}

/** Starts a process with its own session and no pipe to us, so that our end is not its end. */
async function spawnDetached(options: EnvoyProcessOptions, args: readonly string[]): Promise<ChildProcess> {
  const { binaryPath, enter, logPath } = options;
  const log = openSync(logPath, 'a', 0o600);
  try {
    const [program = binaryPath, ...words] = [...enter, binaryPath, ...args];
    const child = spawn(program, words, { detached: true, stdio: ['ignore', log, log] });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) => reject(new Error(`cannot start ${binaryPath}: ${error.message}`)));
    });
    child.unref();
    return child;
  } finally {
    closeSync(log);
  }
}

async function untilReady(socketPath: string, deadlineMs: number, goOn: () => boolean): Promise<void> {
  const since = performance.now();
  const deadline = since + deadlineMs;
  let seen = 'nothing';
  while (goOn()) {
    const answer = await askAdmin(socketPath, '/ready').catch((error: Error) => error);
    if (!(answer instanceof Error) && answer.status === 200) return;
    seen = answer instanceof Error ? answer.message : `${answer.status} ${answer.body.trim()}`;
    const now = performance.now();
    if (now >= deadline) break;
    await delay(now - since < 2_000 ? readyIntervalMs : longReadyIntervalMs);
  }
  throw new Error(`Envoy is not ready after ${deadlineMs} ms; its admin socket ${socketPath} said: ${seen}`);
}

async function terminate(recorded: ProcessIdentity, deadlineMs: number): Promise<void> {
  for (const [signal, waitMs] of [
    ['SIGTERM', deadlineMs],
    ['SIGKILL', stopMs],
  ] as const) {
    if (!isAlive(recorded)) return;
    kill(recorded.pid, signal);
    const deadline = performance.now() + waitMs;
    while (isAlive(recorded) && performance.now() < deadline) await delay(readyIntervalMs);
  }
  if (isAlive(recorded)) throw new Error(`Envoy (pid ${recorded.pid}) does not end`);
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/**
 * An agent that was killed between starting Envoy and recording it leaves one that would share our
 * ports. Nobody else has our admin socket, so who answers there is told to go.
 */
async function quitUnrecorded(socketPath: string): Promise<void> {
  const deadline = performance.now() + stopMs;
  for (;;) {
    const answer = await askAdmin(socketPath, '/quitquitquit', 'POST').catch(() => null);
    if (answer === null) return;
    if (performance.now() >= deadline)
      throw new Error(`an unknown Envoy holds ${socketPath} and does not quit`);
    await delay(readyIntervalMs);
  }
}
