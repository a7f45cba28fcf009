// Tests reading one message with the facts that `resolve --sid` compares, with real HTTP servers.
import { expect, test } from '@jest/globals'
import { type ReadAnswer, readTwilioMessage } from '../../src/twilio/read-message.ts'
import { answerWith, createdMessage, errorBody } from '../support/fake-twilio.ts'
import { ACCOUNT_SID, configOf, twilioThat } from './with-twilio.ts'

const sid = `SM${'5'.repeat(32)}`
const DATE = { Date: new Date('2021-03-04T05:06:07Z').toUTCString() }

async function read(changes: Readonly<Record<string, unknown>>): Promise<ReadAnswer> {
  const fake = await twilioThat(answerWith(200, createdMessage({ sid, ...changes }), DATE))
  return readTwilioMessage(configOf(fake.url), sid)
}

test('has the account, the number, the text and the age by the clock of Twilio', async () => {
  const fields = { account_sid: ACCOUNT_SID, to: '+12065550199', body: 'Hello', direction: 'outbound-api' }
  expect(await read({ ...fields, date_created: 'Thu, 04 Mar 2021 05:05:57 +0000' })).toMatchObject({
    outcome: 'found',
    message: { sid },
    facts: { account: ACCOUNT_SID, to: '+12065550199', body: 'Hello', ageSeconds: 10, isInbound: false },
  })
})

test('says that a message is an inbound one', async () => {
  expect(await read({ direction: 'inbound', status: 'received' })).toMatchObject({
    facts: { isInbound: true },
  })
})

test('leaves out a number that the account redacts, and an age that cannot be computed', async () => {
  expect(await read({ to: '+1206555XXXX', date_created: null })).toMatchObject({
    facts: { to: null, ageSeconds: null },
  })
})

test('tells a message that Twilio does not have from a lookup that failed', async () => {
  const missing = await twilioThat(answerWith(404, errorBody(404, 20404, 'Not found')))
  expect(await readTwilioMessage(configOf(missing.url), sid)).toEqual({ outcome: 'missing' })
  const proxy = await twilioThat(answerWith(404, '<html>Not found</html>'))
  expect(await readTwilioMessage(configOf(proxy.url), sid)).toMatchObject({ outcome: 'unavailable' })
})
