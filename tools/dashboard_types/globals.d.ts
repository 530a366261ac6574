/** What browsers have and TypeScript's own declarations do not know yet: integers kept as they are written. */
interface JSON {
  rawJSON?(text: string): object;
  isRawJSON?(value: unknown): boolean;
}
