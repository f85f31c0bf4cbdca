"""`helm test`: the pod's script against the running system with the bundled model, as the pod runs it."""

from tests.charts.conftest import Rendered
from tests.charts.rendering import CHART
from tests.charts.variants import EVERYTHING
from tests.commands import run_for
from tests.stack_thread import StackThread

SCRIPT, SPEECH = CHART / "files/transcription.py", CHART / "files/speech.ogg"


async def test_it_transcribes_a_recording(stack: StackThread) -> None:
    code, out, err = await run_for(stack, str(SCRIPT), stack.url, str(SPEECH), "60")
    assert code == 0, err
    assert "how are you" in out.lower()


async def test_it_fails_with_the_reason(stack: StackThread) -> None:
    code, _, err = await run_for(stack, str(SCRIPT), stack.url, str(SPEECH), "60", WHISPER_PASSWORD="wrong")
    assert code == 1
    assert "POST /login was answered 401" in err


def test_the_pod_runs_that_script_on_that_recording(rendered: Rendered) -> None:
    one = rendered((), EVERYTHING)
    [pod] = one.of("Pod").values()
    [container] = pod["spec"]["containers"]
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert container["args"] == ["http://whisper-webui-gateway", "/test/speech.ogg", "900"]
    assert container["command"][1] == "/test/transcription.py"
    assert container["image"] == one.pod("whisper-webui-gateway")["containers"][0]["image"]
    files = one.of("ConfigMap")["whisper-webui-test"]
    assert files["data"]["transcription.py"].rstrip("\n") == SCRIPT.read_text().rstrip("\n")
    assert files["binaryData"].keys() == {"speech.ogg"}
    assert one.of("Service")["whisper-webui-gateway"]["spec"]["ports"][0]["port"] == 80
    assert not [found for found in rendered().objects if found["kind"] == "Pod"]
