// The same as test/e2e/messages.test.ts with 25 times the messages. Needs dist/.
import { testMessages } from '../e2e/message-script.ts'

testMessages(1_000)
