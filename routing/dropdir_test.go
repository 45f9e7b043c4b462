package routing

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A message that was written for a replay directory is read back unchanged.
func TestDropDirForReplay(t *testing.T) {
	const text = "X-Receiver: <mallory@example.net>\r\nSubject: x\r\n\r\nhello\r\n"
	dir, m := t.TempDir(), letter(text)
	m.Options.Body = smtp.Body8BitMIME
	m.Origin.ClientAddr = "192.0.2.1"
	deliverTo(t, &DropDir{Dir: dir, Replay: true}, m, "bob@example.net", "carol@example.net")
	files, _ := filepath.Glob(filepath.Join(dir, "*.eml"))
	if len(files) != 1 {
		t.Fatalf("files %v", files)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	back, err := queue.Import(queue.Bytes(b))
	if err != nil {
		t.Fatal(err)
	}
	if back.From != m.From || back.Options.Body != smtp.Body8BitMIME || back.Origin.ClientAddr != "192.0.2.1" {
		t.Errorf("%+v", back)
	}
	if r := back.Recipients; len(r) != 2 || r[0].Addr != "bob@example.net" || r[1].Addr != "carol@example.net" {
		t.Errorf("recipients %v", r)
	}
	got := make([]byte, back.Content.Size())
	if back.Content.ReadAt(got, 0); string(got) != text {
		t.Errorf("content %q", got)
	}
}
