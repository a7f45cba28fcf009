// How long each part may take to stop. Platforms allow about 30 seconds between SIGTERM and SIGKILL (Heroku: 30).

/** The whole process. */
export const PROCESS_STOP_TIMEOUT_MS = 25_000

/** A worker's jobs under way: longer than one request to Twilio can take. */
export const WORK_STOP_TIMEOUT_MS = 12_000

/** A queue that only schedules jobs. */
export const QUEUE_STOP_TIMEOUT_MS = 5_000
