// Calls the routes of examples/next as Next.js would: by path and method, with a Request. Next.js itself is not installed.
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { POST as postMessage } from '../../examples/next/app/messages/route.ts'
import { POST as postStatus } from '../../examples/next/app/sms/twilio/status/route.ts'

const app = new Hono()
app.post('/messages', (context) => postMessage(context.req.raw))
app.post('/sms/twilio/status', (context) => postStatus(context.req.raw))
const server = serve({ fetch: app.fetch, port: Number(process.env['PORT']) })
// Next.js ends its process without closing what the routes have opened.
process.once('SIGTERM', () => server.close(() => process.exit()))
