// Tells which hosts are reachable only from this machine or its private network.
import { BlockList, isIP } from 'node:net'

const PRIVATE = new BlockList()
PRIVATE.addSubnet('127.0.0.0', 8, 'ipv4')
PRIVATE.addSubnet('10.0.0.0', 8, 'ipv4')
PRIVATE.addSubnet('172.16.0.0', 12, 'ipv4')
PRIVATE.addSubnet('192.168.0.0', 16, 'ipv4')
PRIVATE.addSubnet('169.254.0.0', 16, 'ipv4')
PRIVATE.addAddress('::1', 'ipv6')
PRIVATE.addSubnet('fc00::', 7, 'ipv6')
PRIVATE.addSubnet('fe80::', 10, 'ipv6')

/** @param hostname as in a URL; empty or a path for a Unix socket */
export function isPrivateHost(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '')
  const version = isIP(host)
  if (version !== 0) return PRIVATE.check(host, version === 6 ? 'ipv6' : 'ipv4')
  // A name without a dot belongs to the private network, as in Docker Compose.
  return !host.includes('.') || host.startsWith('/') || /\.(local|localhost|internal)$/i.test(host)
}
