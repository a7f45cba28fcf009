// A user's test in TypeScript, compiled against the declarations in the tarball.
import type { Sender } from 'sms-retry'
import { createFakeSender, type FakeSender, startSimulator } from 'sms-retry/testing'

const fake: FakeSender = createFakeSender()
const sender: Sender = fake
fake.script({ result: { status: 'failed', errorCode: 21610 } })
const { status } = await sender.send({ userId: 7, to: '+12065550199', body: 'Your order has shipped' })
// @ts-expect-error: there is no such status
fake.script({ result: { status: 'lost' } })
// @ts-expect-error: a message has no such property
void fake.messages[0]?.nothing

const simulator = await startSimulator()
await simulator.stop()
console.log(status, simulator.messages().length)
