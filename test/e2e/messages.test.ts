// 100 messages; test/endurance sends 1,000. Needs dist/.
import { testMessages } from './message-script.ts'

testMessages(100)
