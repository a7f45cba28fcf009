// Express 4 and its types, which are installed under other names beside those of Express 5.
declare module 'express4' {
  import express from 'express4-types'
  export = express
}
