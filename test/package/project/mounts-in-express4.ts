// What a user with Express 4 and its types writes.
import express, { type Express } from 'express'
import { createApp, statusCallbackRouter } from 'sms-retry'

export function mount(): Express {
  const router = statusCallbackRouter()
  const app = express().use('/sms', router).use(router)
  app.use('/app', createApp())
  app.all('/twilio/status', router)
  express.Router().use(router)
  // Only the types of Express 4 have this method.
  app.get('/', (request) => void request.param('name'))
  // @ts-expect-error: a router has no such property
  router.nothing()
  return app
}
