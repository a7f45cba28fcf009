// How long each part may take to stop. Platforms such as Heroku allow 30 seconds between SIGTERM and SIGKILL.

/** The whole process. */
export const PROCESS_STOP_TIMEOUT_MS = 25_000

/** The running jobs of a worker. Longer than any request to Twilio takes. */
export const WORK_STOP_TIMEOUT_MS = 12_000

/** A queue that only schedules jobs. */
export const QUEUE_STOP_TIMEOUT_MS = 5_000
