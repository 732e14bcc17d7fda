import { BlockList, isIP } from "node:net";

// What is not the public internet: this machine, its networks, and addresses with a meaning of their own (IANA's registries of
// special-purpose addresses). IPv4 in IPv6, in any of its forms, is refused too: it leads to all of them.
const REFUSED: readonly [string, number][] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
];

/** All of IPv6 that is given to networks on the internet begins so, */
const PUBLIC_V6: readonly [string, number] = ["2000::", 3];

/** but for documentation, tunnels and others. */
const REFUSED_V6: readonly [string, number][] = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
];

const refused = new BlockList();
const publicV6 = new BlockList();
REFUSED.forEach(([net, bits]) => refused.addSubnet(net, bits, "ipv4"));
REFUSED_V6.forEach(([net, bits]) => refused.addSubnet(net, bits, "ipv6"));
publicV6.addSubnet(...PUBLIC_V6, "ipv6");

/** Whether an address, IPv4 or IPv6, is one of the public internet. What is no address is not. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !refused.check(address, "ipv4");
    case 6:
      return publicV6.check(address, "ipv6") && !refused.check(address, "ipv6");
    default:
      return false;
  }
}
