/**
 * Parts a refused group so that the culprit stands alone soon. Names that the client's own words
 * mention, and those that another client refused, go by themselves; failing that, halves.
 * A wrong hint costs a round trip, never a resource: each part is sent again whatever the guess.
 */
export function partition(
  names: readonly string[],
  detail: string,
  poisoned: (name: string) => boolean,
): readonly (readonly string[])[] {
  const marked = names.filter((name) => poisoned(name) || mentions(detail, name));
  if (marked.length === 0 || marked.length === names.length || marked.length > maxMarked)
    return halves(names);
  const chosen = new Set(marked);
  return [names.filter((name) => !chosen.has(name)), ...marked.map((name) => [name])];
}

/** More than this and the hint is noise. */
const maxMarked = 8;

function halves(names: readonly string[]): readonly (readonly string[])[] {
  const middle = Math.ceil(names.length / 2);
  return [names.slice(0, middle), names.slice(middle)].filter((part) => part.length > 0);
}

/** Whether the text holds the name as a word of its own: `a-1` is not mentioned by `a-12`. */
function mentions(text: string, name: string): boolean {
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
    if (!isNamePart(text[at - 1]) && !isNamePart(text[at + name.length])) return true;
  }
  return false;
}

function isNamePart(character: string | undefined): boolean {
  return character !== undefined && /[\w/.-]/.test(character);
}
