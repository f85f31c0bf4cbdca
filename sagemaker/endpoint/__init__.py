"""The SageMaker container: Whisper behind `GET /ping` and `POST /invocations`."""
