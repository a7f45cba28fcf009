// Tests in which time zones the holder of a phone number can be. All numbers are fictitious or examples of libphonenumber.
import { describe, expect, test } from '@jest/globals'
import { getCountries, getExampleNumber } from 'libphonenumber-js/max'
import examples from 'libphonenumber-js/mobile/examples' with { type: 'json' }
import { zonesOfNumber } from '../../src/shared/recipient-zones.ts'

describe('a number of an area has the zones of the area:', () => {
  test.each([
    ['New York', '+12125550100', ['America/New_York']],
    ['Los Angeles', '+12135550100', ['America/Los_Angeles']],
    ['Arizona, without summer time', '+16025550100', ['America/Phoenix']],
    ['Newfoundland', '+17095550100', ['America/St_Johns']],
    ['Manaus, a mobile number', '+5592987654321', ['America/Manaus']],
    ['Cancun', '+529988123456', ['America/Cancun']],
    ['Western and South Australia, by landline', '+61891234567', ['Australia/Adelaide', 'Australia/Perth']],
  ])('%s', (_, number, zones) => {
    expect(zonesOfNumber(number)).toEqual(zones)
  })
})

describe('a mobile number of no area has the zones of its country:', () => {
  test.each([
    ['the United Kingdom', '+447400123456', ['Europe/London']],
    ['France, a range that is not assigned', '+33299123', ['Europe/Paris']],
    ['Japan', '+819012345678', ['Asia/Tokyo']],
    ['Jamaica, which shares its code with the United States', '+18762101234', ['America/Jamaica']],
    // libphonenumber's map says Europe/Paris, Atlantic/Canary, America/Chicago and Africa/Nairobi.
    ['Algeria', '+213551234567', ['Africa/Algiers']],
    ['Morocco', '+212650123456', ['Africa/Casablanca']],
    ['Nicaragua', '+50581234567', ['America/Managua']],
    ['South Sudan', '+211977123456', ['Africa/Juba']],
    ['Kosovo, which Intl does not know', '+38343201234', ['Europe/Belgrade']],
  ])('%s', (_, number, zones) => {
    expect(zonesOfNumber(number)).toEqual(zones)
  })

  test.each([
    ['Russia', '+79161234567', ['Europe/Kaliningrad', 'Europe/Moscow', 'Asia/Kamchatka'], 'Asia/Almaty'],
    ['Kazakhstan', '+77011234567', ['Asia/Almaty'], 'Europe/Moscow'],
    ['Australia', '+61491570156', ['Australia/Sydney', 'Australia/Perth'], 'Indian/Christmas'],
    // libphonenumber's map knows one zone of the mobile numbers of these three.
    ['Indonesia', '+6282238123456', ['Asia/Jakarta', 'Asia/Jayapura'], 'Asia/Tokyo'],
    ['Chile', '+56961234567', ['America/Santiago', 'Pacific/Easter'], 'America/Lima'],
    ['Micronesia', '+6913501234', ['Pacific/Kosrae'], 'Pacific/Guam'],
    [
      'the United States, a personal number',
      '+15002345678',
      ['America/New_York', 'Pacific/Honolulu'],
      'Pacific/Guam',
    ],
  ])('%s', (_, number, included, excluded) => {
    const zones = zonesOfNumber(number)
    expect(zones).toEqual(expect.arrayContaining(included))
    expect(zones).not.toContain(excluded)
  })
})

describe('no zones are known for', () => {
  test.each([
    ['a toll-free number of North America', '+18005550199'],
    ['a toll-free number of the United Kingdom', '+448081570192'],
    ['an international toll-free number', '+80012345678'],
    ['an international network', '+883510001234567'],
    ['a number of an area that does not exist, as the simulator has them', '+15553000302'],
    ['an invalid number of a code that several countries share', '+447700900103'],
    ['a calling code that does not exist', '+9991234567'],
    ['a short code', '12345'],
    ['no number', ''],
  ])('%s', (_, number) => {
    expect(zonesOfNumber(number)).toBeNull()
  })
})

test('a mobile number of each country has zones, and Intl knows all of them', () => {
  const countries = getCountries()
  const without: string[] = []
  for (const country of countries) {
    const zones = zonesOfNumber(getExampleNumber(country, examples)?.number ?? '')
    if (zones === null) without.push(country)
    for (const timeZone of zones ?? [])
      expect(() => new Intl.DateTimeFormat('en', { timeZone })).not.toThrow()
  }
  expect(countries.length).toBeGreaterThan(200)
  expect(without).toEqual([])
})
