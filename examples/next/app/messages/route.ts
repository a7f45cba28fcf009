// POST /messages: sends a message.
import { createSender, type Sender } from 'sms-retry'

let sender: Promise<Sender> | undefined

/** Created by the first request, because `next build` loads this file without the settings of production. */
function openSender(): Promise<Sender> {
  sender ??= createSender().catch((error: unknown) => {
    // The database was unavailable, for example. The next request tries again.
    sender = undefined
    throw error
  })
  return sender
}

export async function POST(request: Request): Promise<Response> {
  const { to, body } = (await request.json()) as { to: string; body: string }
  const opened = await openSender()
  return Response.json(await opened.send({ userId: 1, to, body }), { status: 201 })
}
