// Tests which events belong to a message, and which to another message that had the same id.
import { describe, expect, test } from '@jest/globals'
import { isAbout, isSameAddress, type Proof } from '../../src/delivery/message-proof.ts'
import { buildAttempt, buildMessage, sidOf } from './build-message.ts'

const KEY = 'key_of-message_7'
const TO = '+15550100123'
const STRANGER = '+15550100999'
const OTHER_SID = sidOf(99)

describe('whether an event with these facts belongs to the message:', () => {
  test.each<[what: string, rowKey: string | null, proof: Proof, isIt: boolean]>([
    ['the same key', KEY, { key: KEY, to: TO, sid: OTHER_SID }, true],
    ['the same key and a number that Twilio rewrote', KEY, { key: KEY, to: STRANGER, sid: OTHER_SID }, true],
    ['another key and the same number', KEY, { key: 'key_of-another_1', to: TO, sid: sidOf(0) }, false],
    ['no key and the same number', KEY, { key: null, to: TO, sid: OTHER_SID }, true],
    ['no key and another number', KEY, { key: null, to: STRANGER, sid: OTHER_SID }, false],
    ['no key, another number, and a sid of the row', KEY, { key: null, to: STRANGER, sid: sidOf(0) }, true],
    ['no key and no number', KEY, { key: null, to: null, sid: OTHER_SID }, false],
    ['a row without a key, the same number', null, { key: KEY, to: TO, sid: OTHER_SID }, true],
    ['a row without a key, another number', null, { key: KEY, to: STRANGER, sid: OTHER_SID }, false],
    ['a row without a key, its sid', null, { key: null, to: null, sid: sidOf(0) }, true],
    ['neither has a key, the same number', null, { key: null, to: TO }, true],
    ['neither has a key, another number', null, { key: null, to: STRANGER }, false],
  ])('%s', (_what, key, proof, isIt) => {
    const message = buildMessage('sent', [buildAttempt(0, 'sent')], { key, to: TO })
    expect(isAbout(message, proof)).toBe(isIt)
  })
})

describe('whether two addresses are the same:', () => {
  test.each<[one: string, other: string, areSame: boolean]>([
    ['+12065550100', '+12065550100', true],
    ['+12065550100', '+1 (206) 555-0100', true],
    ['+12065550100', '206-555-0100', true],
    ['+12065550100', '0012065550100', true],
    ['+12065550100', 'whatsapp:+12065550100', true],
    ['+12065550100', 'tel:+1-206-555-0100', true],
    ['+447700900103', '+4407700900103', true],
    ['+447700900103', '07700 900103', true],
    ['+3906123456', '+396123456', true],
    ['12345', '12345', true],
    ['messenger:Ada.Lovelace', 'ada.lovelace', true],
    ['+12065550100', '+12065550101', false],
    ['+12065550100', '+13065550100', false],
    ['+12065550100', '550100', false],
    ['+12065550100', '12345', false],
    ['+12065550100', '', false],
    ['', '+12065550100', false],
    ['ada1', 'ada2', false],
  ])('%s and %s: %s', (one, other, areSame) => {
    expect(isSameAddress(one, other)).toBe(areSame)
    expect(isSameAddress(other, one)).toBe(areSame)
  })
})
