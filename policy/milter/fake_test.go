package milter

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fake milter answers each command with what the script has for it, and
// "continue" where it has nothing.
type fake struct {
	addr    string
	actions uint32
	steps   uint32
	script  map[byte][]packet
	healed  atomic.Bool // no script any more
	ended   sync.WaitGroup

	mu    sync.Mutex // guards heard
	heard []string
}

type packet struct {
	cmd  byte
	data string
}

func startFake(t *testing.T, f *fake) *fake {
	t.Helper()
	f.addr = filepath.Join(t.TempDir(), "milter.sock")
	l, err := net.Listen("unix", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	if f.actions == 0 {
		f.actions = allActions
	}
	f.ended.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f.ended.Go(func() { f.serve(conn) })
		}
	})
	// Registered before the server's own cleanup, so that it runs after it.
	t.Cleanup(func() { l.Close(); f.ended.Wait() })
	return f
}

func (f *fake) serve(conn net.Conn) {
	defer conn.Close()
	r, w := bufio.NewReader(conn), bufio.NewWriter(conn)
	for {
		cmd, data, err := readPacket(r)
		if err != nil {
			return
		}
		f.note(cmd, data)
		switch cmd {
		case cmdQuit:
			return
		case cmdMacro, cmdAbort:
			continue
		case cmdOptNeg:
			b := binary.BigEndian.AppendUint32(nil, protocolV6)
			b = binary.BigEndian.AppendUint32(b, f.actions)
			b = binary.BigEndian.AppendUint32(b, f.steps)
			writePacket(w, cmdOptNeg, b)
			w.Flush()
			continue
		}
		var out []packet
		if !f.healed.Load() {
			out = f.script[cmd]
		}
		for _, p := range out {
			if p.cmd == '!' { // hang up
				return
			}
			writePacket(w, p.cmd, []byte(p.data))
		}
		if len(out) == 0 || cmd == cmdEOM && isChange(out[len(out)-1].cmd) {
			writePacket(w, actContinue)
		}
		w.Flush()
	}
}

func (f *fake) note(cmd byte, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cmd == cmdOptNeg || cmd == cmdMacro {
		data = nil
	}
	f.heard = append(f.heard, fmt.Sprintf("%c %s", cmd, strings.ReplaceAll(strings.TrimSuffix(string(data), "\x00"), "\x00", "|")))
}

// commands are those that were heard, without macros.
func (f *fake) commands() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.heard), func(s string) bool { return s[0] == cmdMacro || s[0] == cmdOptNeg || s[0] == cmdConnect })
}

func index(n uint32, ss ...string) string {
	return string(binary.BigEndian.AppendUint32(nil, n)) + string(cstrings(ss...))
}

func newMessage(t *testing.T) *smtpserver.Message {
	m := new(smtpserver.Message)
	if err := m.SetContent(content.Of([]byte(message))); err != nil {
		t.Fatal(err)
	}
	return m
}
