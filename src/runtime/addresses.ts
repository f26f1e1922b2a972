/**
 * What is an IP address, and of which family. Owns the one rule for it; resolves nothing.
 *
 * @module
 */

// Up to 255 and without a zero in front, as net.isIPv4() has it.
const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const IPV4: RegExp = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`);

/**
 * True for an IP address: there is no name to look up, and none to send (RFC 6066 section 3). A colon is taken for one of
 * IPv6, which no name has.
 */
export function isAddress(host: string): boolean {
  return host.includes(":") || IPV4.test(host);
}

/** The family of an IP address; undefined for none. */
export function addressFamily(address: string | undefined): 4 | 6 | undefined {
  if (address === undefined) return undefined;
  return address.includes(":") ? 6 : 4;
}
