import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { envoyVersion } from '@weir/xds-ts';

/** What version an Envoy binary has, beside the one that this build was made for. */
export type EnvoyVersionCheck =
  | { readonly kind: 'same'; readonly version: string }
  | { readonly kind: 'other'; readonly version: string; readonly wanted: string };

/**
 * Asks the binary for its version. Fields that an older Envoy does not know it refuses, so anything but the
 * wanted release is for the caller to warn of.
 * @throws Error when the binary does not run or says nothing like a version.
 */
export async function checkEnvoyVersion(binaryPath: string): Promise<EnvoyVersionCheck> {
  const { stdout } = await promisify(execFile)(binaryPath, ['--version']);
  const version = /\/(\d+\.\d+\.\d+)(?:-\w+)?\//.exec(stdout)?.[1];
  if (version === undefined)
    throw new Error(`${binaryPath} does not say which Envoy it is: ${stdout.trim()}`);
  return version === envoyVersion
    ? { kind: 'same', version }
    : { kind: 'other', version, wanted: envoyVersion };
}
