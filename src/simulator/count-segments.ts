// Counts the SMS segments of a text, as Twilio's num_segments does.
// https://www.twilio.com/docs/glossary/what-is-gsm-7-character-encoding

const GSM_7 =
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?' +
  '¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà'
/** Each of these takes two septets: an escape and a character. */
const GSM_7_EXTENSION = '\f^{}\\[~]|€'

export function countSegments(body: string): number {
  let septets = 0
  for (const character of body) {
    if (GSM_7.includes(character)) septets += 1
    else if (GSM_7_EXTENSION.includes(character)) septets += 2
    // A single character outside GSM-7 switches the whole text to UCS-2.
    else return segmentsOf(body.length, 70, 67)
  }
  return segmentsOf(septets, 160, 153)
}

function segmentsOf(units: number, unitsAlone: number, unitsPerPart: number): number {
  return units <= unitsAlone ? 1 : Math.ceil(units / unitsPerPart)
}
