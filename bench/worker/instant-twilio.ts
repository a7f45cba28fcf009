// A program: Twilio's message resource, answered as fast as a Node process can, so that what is measured is never
// Twilio. It sends no callbacks and checks nothing. It notes when each attempt arrived, and which arrived twice.
import { createServer, type ServerResponse } from 'node:http'

/** What the parent may ask for, one at a time. */
export type InstantTwilioRequest = { readonly untilArrived: number } | 'take'

export type InstantTwilioReply =
  | { readonly kind: 'listening'; readonly url: string }
  | { readonly kind: 'arrived' }
  /** Since the last time: the arrivals (message and milliseconds of the clock), and the attempts that came again. */
  | {
      readonly kind: 'taken'
      readonly arrivals: readonly (readonly [number, number])[]
      readonly twice: readonly string[]
    }

/** The attempts of every case and every round, by their callback's URL, which names all three. */
const seen = new Set<string>()
let arrivals: [number, number][] = []
let twice: string[] = []
let awaited = Number.POSITIVE_INFINITY
let submissions = 0

function reply(message: InstantTwilioReply): void {
  process.send?.(message)
}

function note(body: string): void {
  const start = body.indexOf('StatusCallback=')
  const end = body.indexOf('&', start)
  const url = decodeURIComponent(body.slice(start + 15, end === -1 ? undefined : end))
  const [attempt = ''] = url.split('#', 1)
  if (seen.has(attempt)) twice.push(attempt)
  seen.add(attempt)
  arrivals.push([Number(/message=(\d+)/.exec(attempt)?.[1]), Date.now()])
  if (arrivals.length === awaited) reply({ kind: 'arrived' })
}

const ACCOUNT = /\/Accounts\/(\w+)\//

function answerSubmission(path: string, response: ServerResponse): void {
  submissions += 1
  // Random as Twilio's are, for the unique index; and certainly not given twice.
  const random = Math.random().toString(16).slice(2, 12).padEnd(10, '0')
  const sid = `SM${random}${submissions.toString(16).padStart(22, '0')}`
  const account = ACCOUNT.exec(path)?.[1]
  const body =
    `{"account_sid":"${account}","api_version":"2010-04-01","body":"Your order has shipped",` +
    '"date_created":"Thu, 24 Aug 2023 05:01:45 +0000","date_sent":null,' +
    '"date_updated":"Thu, 24 Aug 2023 05:01:45 +0000","direction":"outbound-api","error_code":null,' +
    '"error_message":null,"from":"+12065550100","messaging_service_sid":null,"num_media":"0","num_segments":"1",' +
    `"price":null,"price_unit":"USD","sid":"${sid}","status":"queued",` +
    `"subresource_uris":{"media":"/2010-04-01/Accounts/${account}/Messages/${sid}/Media.json"},` +
    `"to":"+12065550199","uri":"/2010-04-01/Accounts/${account}/Messages/${sid}.json"}`
  response.writeHead(201, { 'content-type': 'application/json', 'content-length': body.length })
  response.end(body)
}

const EMPTY_LIST = '{"messages":[],"next_page_uri":null}'

const server = createServer((request, response) => {
  if (request.method !== 'POST') {
    response.writeHead(200, { 'content-type': 'application/json' }).end(EMPTY_LIST)
    return
  }
  let body = ''
  request.setEncoding('latin1')
  request.on('data', (chunk: string) => {
    body += chunk
  })
  request.on('end', () => {
    note(body)
    answerSubmission(request.url ?? '', response)
  })
})
// Longer than any pause of the benchmark: a connection that closes under a request would count as a failure.
server.keepAliveTimeout = 600_000

process.on('message', (request: InstantTwilioRequest) => {
  if (request === 'take') {
    reply({ kind: 'taken', arrivals, twice })
    arrivals = []
    twice = []
    awaited = Number.POSITIVE_INFINITY
    return
  }
  awaited = request.untilArrived
  if (arrivals.length >= awaited) reply({ kind: 'arrived' })
})
process.on('disconnect', () => process.exit())

server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  reply({ kind: 'listening', url: `http://127.0.0.1:${address.port}` })
})
