// What a user with Express 4 and its types writes.
import express, { type Express } from 'express'
import { createApp, createStatusCallbackHandler, statusCallbackRouter } from 'sms-retry'

export function mount(): Express {
  const router = statusCallbackRouter()
  const app = express().use('/sms', router).use(router)
  app.use('/app', createApp())
  app.all('/twilio/status', router)
  express.Router().use(router)
  // Only Express 4 has this method: these are its types.
  app.del('/nothing', router)
  // @ts-expect-error: a router has no such property
  router.nothing()
  // @ts-expect-error: this is no middleware of Express
  app.use('/sms', createStatusCallbackHandler())
  return app
}
