// Nest 12 on Express: sends messages, records Twilio's status callbacks, and makes the retries.
import 'reflect-metadata'
import { Body, Controller, Inject, Module, Post } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { createSender, type Sender, startWorker, statusCallbackRouter } from 'sms-retry'

@Controller('messages')
class MessagesController {
  @Inject('SENDER') private readonly sender!: Sender

  @Post()
  send(@Body() { to, body }: { to: string; body: string }) {
    return this.sender.send({ userId: 1, to, body })
  }
}

@Module({
  controllers: [MessagesController],
  // Options come from the environment.
  providers: [{ provide: 'SENDER', useFactory: () => createSender() }],
})
class AppModule {}

const worker = await startWorker()
const statusCallbacks = statusCallbackRouter()

const app = await NestFactory.create(AppModule)
// PUBLIC_BASE_URL ends with /sms. Nest adds its body parsers later, in listen().
app.use('/sms', statusCallbacks)
await app.listen(process.env['PORT'] ?? 3000)

process.once('SIGTERM', async () => {
  const sender = app.get<Sender>('SENDER')
  await app.close()
  await Promise.all([worker.stop(), sender.close(), statusCallbacks.close()])
})
