package routing

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// deliverTo delivers one message to the recipients by a transport.
func deliverTo(t *testing.T, tr Transport, m *queue.Message, to ...string) []queue.Result {
	t.Helper()
	r := &Router{Table: table(t, Connector{Name: "other", Spaces: []string{"*"}, Transport: tr})}
	return r.Deliver(t.Context(), queue.NextHop{Connector: "other", Destination: "other"}, m, queue.Rcpt(to...))
}

func verdicts(results []queue.Result) string {
	var parts []string
	for _, r := range results {
		parts = append(parts, fmt.Sprintf("%d %s %s", r.Outcome, code(&r.Reply), r.Reply.Message))
	}
	return strings.Join(parts, "; ")
}

func letter(body string) *queue.Message {
	return &queue.Message{ID: "m1", From: "alice@example.com", Content: queue.String(body)}
}

func shell(t *testing.T, script string, args ...string) []string {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("program missing: sh")
	}
	return append([]string{sh, "-c", script, "sh"}, args...)
}

func TestPipeInputAndArguments(t *testing.T) {
	dir := t.TempDir()
	p := &Pipe{Command: shell(t, `cat >out; echo "$@" >args`, "{id}", "{size}", "-f{from}", "--", "{to}"), Dir: dir}
	body := "Subject: x\r\n\r\nlone \r CR\r\n.\r\n"
	if got := verdicts(deliverTo(t, p, letter(body), "bob@example.net", "-carol@example.net")); !strings.HasPrefix(got, "1 250 2.0.0") {
		t.Fatal(got)
	}
	out, _ := os.ReadFile(filepath.Join(dir, "out"))
	args, _ := os.ReadFile(filepath.Join(dir, "args"))
	if string(out) != body {
		t.Errorf("the command read %q", out)
	}
	want := fmt.Sprintf("m1 %d -falice@example.com -- bob@example.net -carol@example.net\n", len(body))
	if string(args) != want {
		t.Errorf("arguments %q, want %q", args, want)
	}
	p.UnixLines = true
	deliverTo(t, p, letter(body), "bob@example.net")
	if out, _ = os.ReadFile(filepath.Join(dir, "out")); string(out) != "Subject: x\n\nlone \r CR\n.\n" {
		t.Errorf("with Unix lines it read %q", out)
	}
}

func TestPipeResults(t *testing.T) {
	for script, want := range map[string]string{
		"exit 0":                                "1 250 2.0.0 Delivered to command",
		"exit 75":                               "0 451 4.3.0 Command failed with status 75",
		"exit 67":                               "2 550 5.1.1 Command failed with status 67",
		"exit 1":                                "2 550 5.3.0 Command failed with status 1",
		"echo; echo 4.2.2 Mailbox full; exit 1": "0 451 4.2.2 Mailbox full",
		"echo 5.2.2 Full >&2; exit 75":          "2 550 5.2.2 Full",
		"echo 2.0.0 what; exit 78":              "2 550 5.3.5 2.0.0 what",
		`printf 'one\rtwo\a'; exit 65`:          "2 550 5.6.0 one two",
		"kill -9 $$":                            "0 451 4.3.0 Local error in delivery",
	} {
		if got := verdicts(deliverTo(t, &Pipe{Command: shell(t, script)}, letter("x"), "a@example.net")); got != want {
			t.Errorf("%s: %s, want %s", script, got, want)
		}
	}
	for _, c := range []struct {
		p    *Pipe
		m    *queue.Message
		want string
	}{
		{&Pipe{Command: []string{"/nowhere/at/all"}}, letter("x"), "3 451 4.3.0 The command could not be started"},
		{&Pipe{Command: shell(t, "exec sleep 60"), Timeout: 50 * time.Millisecond}, letter("x"), "0 451 4.3.0 Local error in delivery"},
		{&Pipe{Command: shell(t, "exec cat", "{from}")}, &queue.Message{From: "-rf@example.com", Content: queue.String("")},
			"2 550 5.1.7 Bad sender address: it begins with a dash"},
		// more than a pipe buffer, for a command that does not read it
		{&Pipe{Command: shell(t, "exit 0")}, letter(strings.Repeat("x", 1<<20)), "1 250 2.0.0 Delivered to command"},
		{&Pipe{Command: shell(t, "cat >/dev/null")}, &queue.Message{Content: damaged{}}, "0 451 4.3.0 Local error in delivery"},
	} {
		if got := verdicts(deliverTo(t, c.p, c.m, "a@example.net")); got != c.want {
			t.Errorf("%v: %s, want %s", c.p.Command, got, c.want)
		}
	}
	if got := verdicts(deliverTo(t, &Pipe{Command: shell(t, "exit 0", "{to}")}, letter("x"), "-oQ/tmp@example.net")); !strings.HasPrefix(got, "2 550 5.1.3") {
		t.Errorf("a recipient that looks like an option: %s", got)
	}
	l := &limitedBuffer{limit: 5}
	if n, err := io.Copy(l, strings.NewReader("0123456789")); n != 10 || err != nil || string(l.b) != "01234" {
		t.Errorf("a command's endless output: %d bytes taken, %q kept, %v", n, l.b, err)
	}
	each := &Pipe{Command: shell(t, `test "$1" = a@example.net`, "{to}"), PerRecipient: true}
	if got := verdicts(deliverTo(t, each, letter("x"), "a@example.net", "b@example.net")); got !=
		"1 250 2.0.0 Delivered to command; 2 550 5.3.0 Command failed with status 1" {
		t.Errorf("one by one: %s", got)
	}
}

// damaged is a content that cannot be read to its end.
type damaged struct{}

func (damaged) ReadAt([]byte, int64) (int, error) { return 0, queue.ErrDamaged }
func (damaged) Size() int64                       { return 10 }
func (damaged) WriteTo(w io.Writer) (int64, error) {
	n, _ := w.Write([]byte("half"))
	return int64(n), queue.ErrDamaged
}

func TestDropDir(t *testing.T) {
	dir := t.TempDir()
	d := &DropDir{Dir: dir}
	for range 2 { // the second time in place of the first
		if got := verdicts(deliverTo(t, d, letter("Subject: x\r\n\r\nhello\r\n"), "bob@example.net", "carol@example.net")); !strings.HasPrefix(got, "1 250") {
			t.Fatal(got)
		}
	}
	deliverTo(t, d, letter("Subject: x\r\n\r\nhello\r\n"), "dave@example.net")
	files, _ := filepath.Glob(filepath.Join(dir, "m1-*.eml"))
	if all, _ := os.ReadDir(dir); len(files) != 2 || len(all) != 2 {
		t.Fatalf("files %v of %v", files, all)
	}
	for _, f := range files {
		b, _ := os.ReadFile(f)
		if !strings.HasPrefix(string(b), "X-Sender: alice@example.com\r\nX-Receiver: ") || !strings.HasSuffix(string(b), "\r\nSubject: x\r\n\r\nhello\r\n") {
			t.Errorf("%q", b)
		}
	}
	m := letter("x")
	m.ID = "../../up"
	d.NoEnvelope = true
	deliverTo(t, d, m, "a@example.net")
	if b, err := os.ReadFile(filepath.Join(dir, "_.._up-"+strings.TrimPrefix(dropName(&Job{Message: m, Recipients: queue.Rcpt("a@example.net")}), "_.._up-"))); err != nil || string(b) != "x" {
		t.Errorf("%q, %v", b, err)
	}
	if got := verdicts(deliverTo(t, &DropDir{Dir: dir + "/none"}, letter("x"), "a@example.net")); got != "3 451 4.3.0 The message could not be written" {
		t.Errorf("without the directory: %s", got)
	}
	if got := verdicts(deliverTo(t, d, &queue.Message{ID: "bad", Content: damaged{}}, "a@example.net")); got != "0 451 4.3.0 The message could not be written" {
		t.Errorf("half a message: %s", got)
	}
	filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if strings.Contains(path, "bad") || strings.HasSuffix(path, ".tmp") {
			t.Errorf("%s was left", path)
		}
		return err
	})
}

func TestHTTPPost(t *testing.T) {
	var answer http.HandlerFunc
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r) }))
	defer srv.Close()
	p := &HTTPPost{URL: srv.URL, Header: http.Header{"Authorization": {"Bearer secret"}}, Client: srv.Client()}
	answer = func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if string(body) != "hello" || r.Header.Get("Mail-From") != "alice@example.com" || r.Header.Get("Content-Type") != "message/rfc822" ||
			fmt.Sprint(r.Header["Rcpt-To"]) != "[bob@example.net jörg@example.net]" || r.Header.Get("Authorization") != "Bearer secret" ||
			r.Header.Get("Message-Queue-Id") != "m1" || r.ContentLength != 5 {
			t.Errorf("%v %q", r.Header, body)
		}
	}
	if got := verdicts(deliverTo(t, p, letter("hello"), "bob@example.net", "jörg@example.net")); got !=
		"1 250 2.0.0 HTTP status 200 OK; 1 250 2.0.0 HTTP status 200 OK" {
		t.Error(got)
	}
	for status, want := range map[int]string{
		202: "1 250 2.0.0", 302: "0 451 4.3.5", 400: "2 550 5.0.0", 401: "0 451 4.3.5", 404: "0 451 4.3.5",
		413: "2 550 5.0.0", 429: "0 451 4.3.0", 500: "0 451 4.3.0", 503: "0 451 4.3.0",
	} {
		answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		}
		if got := verdicts(deliverTo(t, p, letter("hello"), "bob@example.net")); !strings.HasPrefix(got, want+" ") {
			t.Errorf("status %d: %s, want %s", status, got, want)
		}
	}
	for replies, want := range map[string]string{
		"250 2.1.5 Fine|550 5.1.1 Who?|450 Later": "1 250 2.1.5 Fine; 2 550 5.1.1 Who?; 0 450 4.0.0 Later",
		"552 5.2.2 Full":        "2 552 5.2.2 Full; 2 552 5.2.2 Full; 2 552 5.2.2 Full",
		"250 Ok|550 5.1.1 Who?": "1 250 2.0.0 HTTP status 200 OK; 1 250 2.0.0 HTTP status 200 OK; 1 250 2.0.0 HTTP status 200 OK",
		"nonsense":              "1 250 2.0.0 HTTP status 200 OK; 1 250 2.0.0 HTTP status 200 OK; 1 250 2.0.0 HTTP status 200 OK",
	} {
		answer = func(w http.ResponseWriter, _ *http.Request) { w.Header()["Smtp-Reply"] = strings.Split(replies, "|") }
		if got := verdicts(deliverTo(t, p, letter("hello"), "a@example.net", "b@example.net", "c@example.net")); got != want {
			t.Errorf("%s:\n%s\nwant %s", replies, got, want)
		}
	}
	if got := verdicts(deliverTo(t, p, letter("x"), "a\x01b@example.net")); !strings.HasPrefix(got, "2 550 5.1.3") {
		t.Errorf("an address that no header can have: %s", got)
	}
	answer = func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler) // the connection ends without an answer
	}
	if got := verdicts(deliverTo(t, p, letter("hello"), "bob@example.net")); !strings.HasPrefix(got, "0 451 4.4.2") {
		t.Errorf("no answer: %s", got)
	}
	srv.Close()
	if got := verdicts(deliverTo(t, p, letter("x"), "a@example.net")); !strings.HasPrefix(got, "3 451 4.4.1") || strings.Contains(got, "secret") {
		t.Errorf("no server: %s", got)
	}
}

// LMTP has one reply for each recipient, and success means final delivery.
func TestLMTP(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "lmtp"))
	if err != nil {
		t.Fatal(err)
	}
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &lmtpSession{}, nil }))
	srv.LMTP, srv.Domain = true, "mailbox.test"
	srv.ErrorLog = log.New(io.Discard, "", 0)
	var served sync.WaitGroup
	served.Go(func() { srv.Serve(l) })
	defer served.Wait()
	defer srv.Close()

	tr := &smtpclient.Transport{LMTP: true, Hostname: "relay.test"}
	r := &Router{Table: table(t, Connector{Name: "boxes", Spaces: []string{"example.com"},
		SmartHosts: SmartHosts("unix:" + l.Addr().String()), Transport: SMTP(tr)})}
	defer r.Close()
	m := letter("Subject: x\r\n\r\nhello\r\n")
	rcpts := queue.Rcpt("bob@example.com", "full@example.com")
	hop, err := r.Route(t.Context(), m, rcpts[0])
	if err != nil {
		t.Fatal(err)
	}
	results := r.Deliver(t.Context(), hop, m, rcpts)
	if results[0].Outcome != queue.Success || !results[0].Final || results[1].Outcome != queue.Deferred || results[1].Final {
		t.Errorf("%+v", results)
	}
}

type lmtpSession struct{ rcpts []string }

func (s *lmtpSession) Mail(string, *smtp.MailOptions) error { return nil }
func (s *lmtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.rcpts = append(s.rcpts, to)
	return nil
}
func (s *lmtpSession) Data(io.Reader) error { return nil }
func (s *lmtpSession) Reset()               { s.rcpts = nil }
func (s *lmtpSession) Logout() error        { return nil }

func (s *lmtpSession) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	io.Copy(io.Discard, r)
	for _, rcpt := range s.rcpts {
		var err error
		if strings.HasPrefix(rcpt, "full@") {
			err = &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 2, 2}, Message: "mailbox full"}
		}
		status.SetStatus(rcpt, err)
	}
	return nil
}

func FuzzReplyLine(f *testing.F) {
	for _, s := range []string{"250 2.1.5 Fine", "550 5.1.1 Who?", "450 Later", "451", "4.7.1", "550 5.1.1\r\n250 forged"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if r, ok := parseReplyLine(line); ok {
			class := r.Code / 100
			if class != 2 && class != 4 && class != 5 || r.EnhancedCode[0] != class || strings.ContainsAny(r.Message, "\r\n") {
				t.Errorf("%q: %+v", line, r)
			}
		}
		for _, class := range []byte("45") {
			patterns, err := parseReplyPatterns([]string{line}, class)
			if err == nil && (len(patterns) != 1 || patterns[0] == replyPattern{}) {
				t.Errorf("%q: %+v", line, patterns)
			}
		}
	})
}

// DELIVERBY is sent with the remaining time.
func TestDeliverByCountsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := letter("x")
		m.Received = time.Now()
		m.Recipients = queue.Rcpt("a@example.net")
		m.Recipients[0].Options.DeliverBy = &smtp.DeliverByOptions{Time: time.Hour, Mode: smtp.DeliverByReturn}
		time.Sleep(10 * time.Minute)
		got := clientMessage(&Job{Message: m, Recipients: m.Recipients}).DeliverBy
		if got == nil || got.Time != 50*time.Minute || got.Mode != smtp.DeliverByReturn || m.Recipients[0].Options.DeliverBy.Time != time.Hour {
			t.Errorf("%+v", got)
		}
	})
}

func TestTransportFunc(t *testing.T) {
	var got bytes.Buffer
	f := TransportFunc(func(_ context.Context, j *Job) []queue.Result {
		j.Message.Content.WriteTo(&got)
		return []queue.Result{{Outcome: queue.Success, Reply: smtp.SMTPError{Code: 250}}}
	})
	if r := deliverTo(t, f, letter("hello"), "a@example.net"); r[0].Outcome != queue.Success || got.String() != "hello" {
		t.Errorf("%+v, %q", r, got.String())
	}
}

// Connectors that share a Transport share sessions only if both would find the
// same hosts: another Resolver or another port is a different destination.
func TestSharedTransportSeparatesDestinations(t *testing.T) {
	shared := SMTP(&smtpclient.Transport{})
	inside := ResolverFunc(func(context.Context, string, RecordType) (*Answer, error) { return nil, nil })
	r := &Router{Table: table(t,
		Connector{Name: "a", Spaces: []string{"*"}, Transport: shared},
		Connector{Name: "b", Spaces: []string{"*;2"}, Transport: shared},
		Connector{Name: "port", Spaces: []string{"*;3"}, Transport: shared, Port: 2525},
		Connector{Name: "inside", Spaces: []string{"*;4"}, Transport: shared, Resolver: inside},
		Connector{Name: "hub", Spaces: []string{"*;5"}, Transport: shared, SmartHosts: SmartHosts("hub.example")},
		Connector{Name: "hub2", Spaces: []string{"*;6"}, Transport: shared, SmartHosts: SmartHosts("hub.example")},
		Connector{Name: "inside hub", Spaces: []string{"*;7"}, Transport: shared, SmartHosts: SmartHosts("hub.example"), Resolver: inside})}
	r.init()
	names := map[string]string{}
	for _, c := range r.Table.connectors {
		dst, _ := r.destination(c, c.hop(&queue.Message{}, "example.net"))
		names[c.Name] = dst.Name
	}
	if names["a"] != names["b"] || names["hub"] != names["hub2"] {
		t.Errorf("nothing is shared: %q", names)
	}
	for _, other := range []string{"port", "inside"} {
		if names[other] == names["a"] {
			t.Errorf("%s shares sessions with a: %q", other, names)
		}
	}
	if names["inside hub"] == names["hub"] {
		t.Errorf("inside hub shares sessions with hub: %q", names)
	}
}
