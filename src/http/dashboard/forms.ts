// What all routes that accept a form share.
import express from 'express'

const MAX_FORM_BYTES = 2_000

/** Parses the body. A larger one is answered 413. */
export const parseForm = express.urlencoded({ extended: false, limit: MAX_FORM_BYTES })
