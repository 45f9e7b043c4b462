package tracking_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sends delivers all mail, except to unknown@.
type sends struct{}

func (sends) Route(ctx context.Context, m *queue.Message, r *queue.Recipient) (queue.NextHop, error) {
	_, domain, _ := strings.Cut(r.Addr, "@")
	return queue.NextHop{Connector: "internet", Destination: domain}, nil
}

func (sends) Deliver(ctx context.Context, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	results := make([]queue.Result, len(rcpts))
	for i, r := range rcpts {
		results[i] = queue.Result{Outcome: queue.Success, Host: "mx.example.net", Addr: "192.0.2.25", TLS: "TLS1.3",
			Reply: smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "Ok"}}
		if strings.HasPrefix(r.Addr, "unknown") {
			results[i].Outcome = queue.Failure
			results[i].Reply = smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user,\r\n sorry"}
		}
	}
	return results
}

// run has a queue deliver two messages, one of them to an unknown address, and
// returns the folder of its tracking log.
func run(t *testing.T, log *tracking.Log) string {
	log.Dir = filepath.Join(t.TempDir(), "log")
	q := &queue.Queue{Store: new(memory.Store), Deliverer: sends{}, Hostname: "relay.example.com"}
	events := q.Subscribe(0)
	written := make(chan error, 1)
	go func() { written <- log.Write(events) }()
	ended := make(chan error, 1)
	go func() { ended <- q.Run(context.Background()) }()
	synctest.Wait()
	for _, to := range []string{"bob@example.net", "unknown@example.net"} {
		m := &queue.Message{
			From: "alice@example.com", Recipients: queue.Rcpt(to),
			Content: queue.String("Message-ID: <" + to + ">\r\nSubject: \"Lunch\", perhaps\r\n\r\nHello\r\n"),
			Origin:  queue.Origin{Connector: "default", ClientAddr: "192.0.2.1", ClientHelo: "pc.example.com", Protocol: "ESMTP"},
		}
		if to == "bob@example.net" {
			m.Options.Labels = map[string]string{"tenant": "acme", "campaign": "spring; 1"}
		}
		if err := q.Submit(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		<-time.After(time.Second)
	}
	if err := q.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	<-ended
	events.Close()
	if err := <-written; err != nil {
		t.Error(err)
	}
	return log.Dir
}

func found(t *testing.T, dir string, f tracking.Filter) (lines []string) {
	t.Helper()
	for e, err := range tracking.Search(dir, f) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, e.Event+" "+strings.Join(e.Recipients, ";"))
	}
	return lines
}

func TestLogAndSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		dir := run(t, &tracking.Log{Hostname: "relay.example.com"})
		for _, test := range []struct {
			f    tracking.Filter
			want []string
		}{
			{tracking.Filter{MessageID: "bob@example.net"}, []string{"RECEIVE bob@example.net", "SEND bob@example.net"}},
			{tracking.Filter{Recipient: "unknown@*"}, []string{"RECEIVE unknown@example.net", "DSN unknown@example.net", "FAIL unknown@example.net"}},
			{tracking.Filter{Recipient: "alice@example.com"}, []string{"RECEIVE alice@example.com", "SEND alice@example.com"}},
			{tracking.Filter{Sender: "ALICE@*", Event: "send"}, []string{"SEND bob@example.net"}},
			{tracking.Filter{Subject: "*undeliverable*", Event: "SEND"}, []string{"SEND alice@example.com"}},
			{tracking.Filter{Since: begun.Add(time.Second), Event: "RECEIVE"}, []string{"RECEIVE unknown@example.net", "RECEIVE alice@example.com"}},
			{tracking.Filter{Until: begun, Event: "RECEIVE"}, []string{"RECEIVE bob@example.net"}},
			{tracking.Filter{Sender: "mallory@*"}, nil},
			{tracking.Filter{Labels: map[string]string{"tenant": "acme", "campaign": "*; 1"}}, []string{"RECEIVE bob@example.net", "SEND bob@example.net"}},
			{tracking.Filter{Labels: map[string]string{"tenant": "acme", "campaign": "autumn"}}, nil},
			{tracking.Filter{Labels: map[string]string{"none": ""}}, nil},
		} {
			if got := found(t, dir, test.f); !slices.Equal(got, test.want) {
				t.Errorf("%+v: %q\nwant %q", test.f, got, test.want)
			}
		}
	})
}

func TestColumns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := run(t, &tracking.Log{Hostname: "relay.example.com"})
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		b, err := os.ReadFile(filepath.Join(dir, files[0].Name()))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), "\n#Fields: date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-id,internal-message-id,message-id,recipient-address,recipient-status,total-bytes,recipient-count,related-recipient-address,reference,message-subject,sender-address,return-path,message-info,directionality,custom-data\n") {
			t.Errorf("no line of fields:\n%s", b)
		}
		r := csv.NewReader(strings.NewReader(string(b)))
		r.Comment = '#'
		lines, err := r.ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		receive, send := lines[0], lines[1]
		fail := lines[slices.IndexFunc(lines, func(l []string) bool { return l[8] == "FAIL" })]
		received := receive[0]
		id := receive[9]
		for i, want := range []string{received, "192.0.2.1", "pc.example.com", "", "relay.example.com", "", "default", "SMTP", "RECEIVE", id,
			"<bob@example.net>", "bob@example.net", "", "67", "1", "", "", `"Lunch", perhaps`, "alice@example.com", "alice@example.com", "event=1019", "Incoming"} {
			if receive[i] != want {
				t.Errorf("RECEIVE column %d: %q, want %q", i, receive[i], want)
			}
		}
		for i, want := range map[int]string{1: "", 2: "relay.example.com", 3: "192.0.2.25", 4: "mx.example.net", 6: "internet", 7: "SMTP", 8: "SEND", 9: id,
			12: "250 2.0.0 Ok", 20: "event=1031; queue=example.net; tls=TLS1.3; received=" + received} {
			if send[i] != want {
				t.Errorf("SEND column %d: %q, want %q", i, send[i], want)
			}
		}
		if fail[12] != "550 5.1.1 No such user,   sorry" {
			t.Errorf("FAIL: %q", fail)
		}
	})
}

// A full file is followed by another, and the search reads them in order.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := run(t, &tracking.Log{MaxSize: 300, NoSubject: true})
		files, err := os.ReadDir(dir)
		if err != nil || len(files) < 2 {
			t.Fatal(files, err)
		}
		if got := found(t, dir, tracking.Filter{}); len(got) != 7 || got[0] != "RECEIVE bob@example.net" || got[6] != "SEND alice@example.com" {
			t.Errorf("%q", got)
		}
		if got := found(t, dir, tracking.Filter{Subject: "*lunch*"}); got != nil {
			t.Errorf("the log has a subject: %q", got)
		}
	})
}

// A damaged line is an error with its file and line number. The other lines are
// read.
func TestDamagedLine(t *testing.T) {
	dir := t.TempDir()
	good := "2026-11-21T12:00:00.000Z" + strings.Repeat(",x", 21)
	if err := os.WriteFile(filepath.Join(dir, "MSGTRK20261121-1.log"), []byte("#x\n"+good+"\nhalf a line,\n"+good+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lines, errs := 0, 0
	for e, err := range tracking.Search(dir, tracking.Filter{}) {
		if err != nil {
			errs++
			if !strings.Contains(err.Error(), "MSGTRK20261121-1.log") || !strings.Contains(err.Error(), "line 3") {
				t.Errorf("%v", err)
			}
		} else if e != nil {
			lines++
		}
	}
	if lines != 2 || errs != 1 {
		t.Errorf("%d lines, %d errors", lines, errs)
	}
}

// Lines are gathered for at most 100 ms. When the subscription ends, all lines
// are in the file, in the order of their events.
func TestGathering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue.Queue{Store: new(memory.Store), Deliverer: sends{}}
		events := q.Subscribe(0)
		dir := filepath.Join(t.TempDir(), "log")
		written := make(chan error)
		go func() { written <- (&tracking.Log{Dir: dir}).Write(events) }()
		var want []string
		submit := func() {
			to := fmt.Sprintf("bob%d@example.net", len(want))
			if err := q.Submit(context.Background(), &queue.Message{From: "alice@example.com", Recipients: queue.Rcpt(to), Content: queue.String("Subject: x\r\n\r\n")}); err != nil {
				t.Fatal(err)
			}
			want = append(want, "RECEIVE "+to)
		}
		submit()
		submit()
		synctest.Wait()
		if _, err := os.Stat(dir); err == nil {
			t.Error("the lines are written at once")
		}
		<-time.After(100 * time.Millisecond)
		synctest.Wait()
		if got := found(t, dir, tracking.Filter{}); !slices.Equal(got, want) {
			t.Errorf("after 100 ms: %q\nwant %q", got, want)
		}
		for range 1000 { // more than gatherBytes
			submit()
		}
		synctest.Wait()
		if got := found(t, dir, tracking.Filter{}); len(got) < 500 {
			t.Errorf("%d lines of %d are written before 100 ms have passed", len(got), len(want))
		}
		events.Close()
		if err := <-written; err != nil {
			t.Error(err)
		}
		if got := found(t, dir, tracking.Filter{}); !slices.Equal(got, want) {
			t.Errorf("at the end: %q\nwant %q", got, want)
		}
	})
}

// While the log cannot be written, the queue works as before. When the log can be
// written again, it goes on and has the number of missing events.
func TestUnwritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue.Queue{Store: new(memory.Store), Deliverer: sends{}}
		events := q.Subscribe(0)
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		var logged bytes.Buffer
		dir, written := filepath.Join(file, "log"), make(chan error)
		go func() {
			written <- (&tracking.Log{Dir: dir, Logger: slog.New(slog.NewTextHandler(&logged, nil))}).Write(events)
		}()
		submit := func(n int) {
			for range n {
				if err := q.Submit(context.Background(), &queue.Message{From: "alice@example.com", Recipients: queue.Rcpt("bob@example.net"), Content: queue.String("Subject: x\r\n\r\n")}); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Second) // of the fake clock: the lines are written or dropped
			synctest.Wait()
		}
		submit(2)
		submit(3)
		if got := strings.Count(logged.String(), "level=ERROR"); got != 1 {
			t.Errorf("logged:\n%s", logged.String())
		}
		if err := os.Remove(file); err != nil { // now the folder can be created
			t.Fatal(err)
		}
		submit(1)
		if !strings.Contains(logged.String(), "written again") {
			t.Errorf("logged:\n%s", logged.String())
		}
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		if b, err := os.ReadFile(files[0]); err != nil || !strings.Contains(string(b), "\n#Dropped: 5 events before ") {
			t.Errorf("%v:\n%s", err, b)
		}
		if got := found(t, dir, tracking.Filter{}); len(got) != 1 {
			t.Errorf("%q", got)
		}
		events.Close()
		if err := <-written; err != nil {
			t.Errorf("Write: %v", err)
		}
	})
}

func TestUnwritableAtTheEnd(t *testing.T) {
	q := &queue.Queue{Store: new(memory.Store), Deliverer: sends{}}
	events := q.Subscribe(0)
	if err := q.Submit(context.Background(), &queue.Message{From: "alice@example.com", Recipients: queue.Rcpt("bob@example.net"), Content: queue.String("Subject: x\r\n\r\n")}); err != nil {
		t.Fatal(err)
	}
	events.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (&tracking.Log{Dir: file}).Write(events); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("Write: %v", err)
	}
}

// Events that the subscription has dropped are counted in a line where they are
// missing.
func TestDroppedEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue.Queue{Store: new(memory.Store), Deliverer: sends{}}
		events := q.Subscribe(2)
		for range 5 {
			if err := q.Submit(context.Background(), &queue.Message{From: "alice@example.com", Recipients: queue.Rcpt("bob@example.net"), Content: queue.String("Subject: x\r\n\r\n")}); err != nil {
				t.Fatal(err)
			}
		}
		events.Close()
		dir := t.TempDir()
		if err := (&tracking.Log{Dir: dir}).Write(events); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		b, err := os.ReadFile(files[0])
		if err != nil || !strings.Contains(string(b), "\n#Dropped: 3 events before ") {
			t.Errorf("%v:\n%s", err, b)
		}
		if got := found(t, dir, tracking.Filter{}); len(got) != 2 {
			t.Errorf("%q", got)
		}
	})
}

// NoTransfer omits the lines of transfers that begin, and only these.
func TestNoTransfer(t *testing.T) {
	for omitted, want := range map[bool]string{false: "[RECEIVE BEGINTRANSFER SEND]", true: "[RECEIVE SEND]"} {
		q, log := new(queue.Queue), tracking.Log{Dir: t.TempDir(), NoTransfer: omitted}
		events := q.Subscribe(0)
		for _, kind := range []queue.EventKind{queue.EventReceive, queue.EventTransfer, queue.EventSend} {
			q.Record(queue.Event{Kind: kind, ID: "m1"})
		}
		events.Close()
		if err := log.Write(events); err != nil {
			t.Fatal(err)
		}
		var got []string
		for e, err := range tracking.Search(log.Dir, tracking.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Event)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("NoTransfer %v: %v, want %s", omitted, got, want)
		}
	}
}
