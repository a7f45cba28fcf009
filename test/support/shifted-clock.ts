// Loaded before a process under test (node --import): its clock is wrong by CLOCK_SHIFT_MS. Timers, and
// performance.now(), go on as they do on a machine whose clock is wrong.
const shiftMs = Number(process.env['CLOCK_SHIFT_MS'])
const RealDate = Date

globalThis.Date = class extends RealDate {
  constructor(...parts: [] | [number | string | Date]) {
    super(...((parts.length === 0 ? [RealDate.now() + shiftMs] : parts) as [number]))
  }

  static override now(): number {
    return RealDate.now() + shiftMs
  }
} as DateConstructor
