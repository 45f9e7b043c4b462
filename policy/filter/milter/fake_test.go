package milter

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	gomilter "github.com/emersion/go-milter"
	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Commands and replies, as bytes of the wire.
const (
	cmdOptNeg  = byte(gomilter.CodeOptNeg)
	cmdMacro   = byte(gomilter.CodeMacro)
	cmdConnect = byte(gomilter.CodeConn)
	cmdHelo    = byte(gomilter.CodeHelo)
	cmdMail    = byte(gomilter.CodeMail)
	cmdRcpt    = byte(gomilter.CodeRcpt)
	cmdData    = byte(gomilter.CodeData)
	cmdHeader  = byte(gomilter.CodeHeader)
	cmdEOH     = byte(gomilter.CodeEOH)
	cmdBody    = byte(gomilter.CodeBody)
	cmdEOM     = byte(gomilter.CodeEOB)
	cmdAbort   = byte(gomilter.CodeAbort)
	cmdQuit    = byte(gomilter.CodeQuit)

	actContinue   = byte(gomilter.ActContinue)
	actAccept     = byte(gomilter.ActAccept)
	actDiscard    = byte(gomilter.ActDiscard)
	actReject     = byte(gomilter.ActReject)
	actTempFail   = byte(gomilter.ActTempFail)
	actReplyCode  = byte(gomilter.ActReplyCode)
	actSkip       = byte(gomilter.ActSkip)
	actAddHeader  = byte(gomilter.ActAddHeader)
	actInsHeader  = byte(gomilter.ActInsertHeader)
	actChgHeader  = byte(gomilter.ActChangeHeader)
	actReplBody   = byte(gomilter.ActReplBody)
	actAddRcpt    = byte(gomilter.ActAddRcpt)
	actDelRcpt    = byte(gomilter.ActDelRcpt)
	actChangeFrom = byte(gomilter.ActChangeFrom)
	actQuarantine = byte(gomilter.ActQuarantine)

	// These are used only in scripts.
	hangUp = '!'
	raw    = '*' // the data is sent as it is, and not as a packet
)

var noReply = map[byte]gomilter.OptProtocol{
	cmdConnect: gomilter.OptNoConnReply, cmdHelo: gomilter.OptNoHeloReply, cmdMail: gomilter.OptNoMailReply,
	cmdRcpt: gomilter.OptNoRcptReply, cmdData: gomilter.OptNoDataReply, cmdHeader: gomilter.OptNoHeaderReply,
	cmdEOH: gomilter.OptNoEOHReply, cmdBody: gomilter.OptNoBodyReply,
}

// A fake milter answers each command with the packets of its script. The
// default answer is "continue".
type fake struct {
	addr    string
	tcp     bool   // listen on TCP, not on a Unix socket
	version uint32 // the default 0 means 6
	actions gomilter.OptAction
	steps   gomilter.OptProtocol
	script  map[byte][]packet
	healed  atomic.Bool // the script has ended
	ended   sync.WaitGroup

	mu     sync.Mutex // guards heard, macros, and script where a test changes it
	heard  []string
	macros map[string]string // "M{mail_addr}": the value that came with cmdMail
}

type packet struct {
	cmd  byte
	data string
}

func startFake(t testing.TB, f *fake) *fake {
	t.Helper()
	network, addr := "unix", filepath.Join(t.TempDir(), "milter.sock")
	if f.tcp {
		network, addr = "tcp", "127.0.0.1:0"
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	f.addr = l.Addr().String()
	if f.actions == 0 {
		f.actions = allActions
	}
	if f.version == 0 {
		f.version = 6
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
		cmd, data, err := hear(r)
		if err != nil {
			return
		}
		f.note(cmd, data)
		switch cmd {
		case cmdQuit:
			return
		case cmdMacro, cmdAbort:
			continue
		}
		f.mu.Lock()
		out := f.script[cmd]
		f.mu.Unlock()
		if f.healed.Load() {
			out = nil
		}
		for _, p := range out {
			switch p.cmd {
			case hangUp:
				return
			case raw:
				w.WriteString(p.data)
			default:
				w.Write(wire(p.cmd, p.data))
			}
		}
		switch {
		case len(out) > 0 && !(cmd == cmdEOM && isChange(out[len(out)-1].cmd)): // this was the answer
		case cmd == cmdOptNeg:
			w.Write(wire(cmdOptNeg, f.options()))
		case f.steps&noReply[cmd] == 0:
			w.Write(wire(actContinue, ""))
		}
		w.Flush()
	}
}

func (f *fake) options() string {
	b := binary.BigEndian.AppendUint32(nil, f.version)
	b = binary.BigEndian.AppendUint32(b, uint32(f.actions))
	return string(binary.BigEndian.AppendUint32(b, uint32(f.steps)))
}

// wire returns a packet as it is sent.
func wire(cmd byte, data string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(data)))
	return append(append(b, cmd), data...)
}

func hear(r io.Reader) (cmd byte, data []byte, err error) {
	var n uint32
	if err := binary.Read(r, binary.BigEndian, &n); err != nil {
		return 0, nil, err
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, nil, err
	}
	return b[0], b[1:], nil
}

func (f *fake) note(cmd byte, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cmd == cmdMacro {
		f.noteMacros(string(data))
	}
	if cmd == cmdOptNeg || cmd == cmdMacro {
		data = nil
	}
	f.heard = append(f.heard, fmt.Sprintf("%c %s", cmd, strings.ReplaceAll(strings.TrimSuffix(string(data), "\x00"), "\x00", "|")))
}

func (f *fake) noteMacros(data string) {
	if f.macros == nil {
		f.macros = make(map[string]string)
	}
	pairs := strings.Split(strings.TrimSuffix(data[1:], "\x00"), "\x00")
	for i := 0; i+1 < len(pairs); i += 2 {
		f.macros[data[:1]+pairs[i]] = pairs[i+1]
	}
}

// commands returns the received commands, without macros.
func (f *fake) commands() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.heard), func(s string) bool { return s[0] == cmdMacro || s[0] == cmdOptNeg || s[0] == cmdConnect })
}

func index(n uint32, ss ...string) string {
	return string(binary.BigEndian.AppendUint32(nil, n)) + strings.Join(ss, "\x00") + "\x00"
}

func newMessage(t *testing.T) *smtpserver.Message {
	m := new(smtpserver.Message)
	if err := m.SetContent(content.Of([]byte(message))); err != nil {
		t.Fatal(err)
	}
	return m
}
