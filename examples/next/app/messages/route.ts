// POST /messages: sends a message.
import { createSender, type Sender } from 'sms-retry'

// Created by the first request, because `next build` loads this file without the settings of production.
let sender: Promise<Sender> | undefined

export async function POST(request: Request): Promise<Response> {
  sender ??= createSender()
  const { to, body } = (await request.json()) as { to: string; body: string }
  return Response.json(await (await sender).send({ userId: 1, to, body }), { status: 201 })
}
