// Each script once sent and once enqueued; test/endurance sends 1,000 messages. Needs dist/.
import { testMessages } from './message-script.ts'

testMessages(40)
