/**
 * Words that run a program which the kernel kills when this process ends, however that ends (`setpriv --pdeathsig`). It
 * holds through exec, of `nsenter` say, but not for children of the program. Start it from the main thread: it is the
 * thread's end that counts.
 */
export function endingWithUs(program: string, ...words: readonly string[]): readonly [string, ...string[]] {
  return ['setpriv', '--pdeathsig', 'KILL', '--', program, ...words];
}
