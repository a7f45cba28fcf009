// A TCP address whose far end can be changed, as a DNS name or a pooler is repointed in a failover, or cut off, as a
// network between two machines is.
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

interface Link {
  readonly near: Socket
  readonly far: Socket | null
  /** Nothing passes, and neither side is told of the other's end. */
  isSilent: boolean
}

export class SwitchableAddress {
  readonly #server: Server
  readonly #links = new Set<Link>()
  #target: number | null
  #isSilent = false

  private constructor(target: number | null) {
    this.#target = target
    this.#server = createServer((near) => this.#join(near))
  }

  static async listen(target: number | null): Promise<SwitchableAddress> {
    const address = new SwitchableAddress(target)
    await new Promise<void>((resolve) => address.#server.listen(0, '127.0.0.1', resolve))
    return address
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** New connections go to this port. Connections that are silent stay so: their far end is gone. */
  point(target: number): void {
    this.#target = target
    this.#isSilent = false
  }

  /** Resets every connection, and each new one until the address points somewhere again. */
  cut(): void {
    this.#target = null
    this.#isSilent = false
    for (const link of this.#links) this.#end(link)
  }

  /** From now on nothing passes, and nobody is told: a machine that is gone, or a link that stalls. */
  silence(): void {
    this.#isSilent = true
    for (const link of this.#links) {
      link.isSilent = true
      link.near.pause()
      link.far?.pause()
    }
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.cut()
    await closed
  }

  #join(near: Socket): void {
    const isSilent = this.#isSilent
    const far = isSilent || this.#target === null ? null : connect(this.#target, '127.0.0.1')
    const link: Link = { near, far, isSilent }
    this.#links.add(link)
    near.on('error', () => undefined)
    near.on('close', () => this.#end(link))
    if (isSilent) near.pause()
    if (far === null) {
      if (!isSilent) this.#end(link)
      return
    }
    far.on('error', () => undefined)
    far.on('close', () => {
      if (!link.isSilent) this.#end(link)
    })
    near.on('data', (chunk) => far.write(chunk))
    far.on('data', (chunk) => near.write(chunk))
  }

  #end(link: Link): void {
    this.#links.delete(link)
    if (!link.near.destroyed) link.near.resetAndDestroy()
    link.far?.destroy()
  }
}
