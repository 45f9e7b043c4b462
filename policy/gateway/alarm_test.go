package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// A down is a Deliverer whose next hop defers all mail while it is down.
type down struct{ down atomic.Bool }

func (*down) Route(context.Context, *queue.Message, *queue.Recipient) (queue.NextHop, error) {
	return queue.NextHop{Connector: "upstream"}, nil
}

func (d *down) Deliver(_ context.Context, _ queue.NextHop, _ *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	results := make([]queue.Result, len(rcpts))
	for i := range results {
		results[i] = queue.Done()
		if d.down.Load() {
			results[i] = queue.Result{Outcome: queue.Deferred, Host: "smtp.example.net", Reply: smtp.SMTPError{Code: 451, Message: "try\x1blater " + strings.Repeat("x", 400)}}
		}
	}
	return results
}

func submit(t *testing.T, q *queue.Queue) {
	t.Helper()
	m := &queue.Message{From: "printer@example.com", Recipients: []*queue.Recipient{{Addr: "a@example.net"}}, Content: queue.String("Subject: x\r\n\r\n")}
	if err := q.Submit(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// The alarm is raised when a message has waited for longer than After, is repeated
// after Every, and ends with the mail.
func TestAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(down)
		d.down.Store(true)
		q := &queue.Queue{Store: new(memory.Store), Deliverer: d, Retry: queue.Retry{Intervals: []time.Duration{5 * time.Minute}}}
		type call struct {
			at     time.Duration
			report gateway.AlarmReport
		}
		var calls []call
		begin := time.Now()
		a := &gateway.Alarm{Queue: q, After: 30 * time.Minute, Every: 2 * time.Hour, Hostname: "relay.example.com",
			Notify: func(_ context.Context, r gateway.AlarmReport) error {
				calls = append(calls, call{time.Since(begin), r})
				return errors.New("no paper")
			}}
		var log strings.Builder
		a.Inherit(gateway.Defaults{Hostname: "other", Logger: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() { ended <- q.Run(ctx) }()
		go func() { ended <- a.Run(ctx) }()
		wait := func(until time.Duration) {
			time.Sleep(until - time.Since(begin))
			synctest.Wait()
		}
		wait(time.Hour) // an empty queue is no alarm
		if len(calls) > 0 {
			t.Errorf("without mail: %v", calls)
		}
		submit(t, q)
		wait(time.Hour + 29*time.Minute)
		if len(calls) > 0 || a.Health().Detail != "" {
			t.Errorf("after 29 minutes: %v %v", calls, a.Health())
		}
		submit(t, q)
		wait(6 * time.Hour)
		if len(calls) != 3 {
			t.Fatalf("%d calls in 5 hours, want 3", len(calls))
		}
		for i, c := range calls {
			if want := time.Hour + 30*time.Minute + time.Duration(i)*2*time.Hour; c.at < want || c.at > want+2*time.Minute {
				t.Errorf("call %d after %v, want %v", i, c.at, want)
			}
		}
		r := calls[1].report
		if r.Hostname != "relay.example.com" || r.Messages != 2 || r.NextHop != "via upstream" || !strings.HasPrefix(r.Error, "451 try later xxx") || len(r.Error) != 300 {
			t.Errorf("%+v", r)
		}
		if text := r.String(); !strings.HasPrefix(text, "relay.example.com: no mail gets through: the oldest of 2 waiting messages is 2h3") || !strings.Contains(text, "; via upstream: 451 try") {
			t.Error(text)
		}
		if h := a.Health(); !h.OK || !strings.Contains(h.Detail, "no mail gets through") || !strings.HasSuffix(h.Detail, "could not be sent") {
			t.Errorf("%+v", h)
		}
		d.down.Store(false)
		wait(7 * time.Hour)
		if h := a.Health(); h.Detail != "" || len(calls) != 3 {
			t.Errorf("after the mail was delivered: %+v, %d calls", h, len(calls))
		}
		stop()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		for _, want := range []string{"level=WARN msg=\"no mail gets through\"", "the alarm has ended", "error=\"no paper\""} {
			if strings.Count(log.String(), want) == 0 {
				t.Errorf("no %q in\n%s", want, log.String())
			}
		}
		if n := strings.Count(log.String(), "msg=\"no mail gets through\""); n != 1 {
			t.Errorf("%d lines about one alarm", n)
		}
	})
}

// Mail that an operator has set aside raises no alarm.
func TestAlarmIgnoresSuspendedMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(down)
		d.down.Store(true)
		q := &queue.Queue{Store: new(memory.Store), Deliverer: d}
		calls := 0
		a := &gateway.Alarm{Queue: q, Notify: func(context.Context, gateway.AlarmReport) error { calls++; return nil }}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() { ended <- q.Run(ctx) }()
		go func() { ended <- a.Run(ctx) }()
		submit(t, q)
		time.Sleep(time.Minute)
		if n, err := q.Do(ctx, queue.Filter{}, queue.Suspend()); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if calls != 0 {
			t.Errorf("%d calls", calls)
		}
		stop()
		<-ended
		<-ended
	})
}

func TestAlarmErrors(t *testing.T) {
	q, notify := new(queue.Queue), func(context.Context, gateway.AlarmReport) error { return nil }
	for want, a := range map[string]*gateway.Alarm{
		"Queue is not set":  {Notify: notify},
		"Notify is not set": {Queue: q},
		"After: 30ns":       {Queue: q, Notify: notify, After: 30},
		"Every: -1s":        {Queue: q, Notify: notify, Every: -time.Second},
	} {
		if err := a.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

var report = gateway.AlarmReport{Hostname: "relay.example.com", Messages: 3, Age: 90 * time.Minute, NextHop: "upstream", Error: "421 $(touch /tmp/x); `x`"}

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "alarm")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// The command gets its arguments as they are, and the report as its input.
func TestNotifyCommand(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	command := script(t, `for a; do echo "[$a]"; done > `+out+`; cat >> `+out+`; echo "$ALARM_HOSTNAME $ALARM_MESSAGES $ALARM_AGE $SECRET" >> `+out+`; pwd >> `+out)
	t.Setenv("SECRET", "sesame")
	if err := gateway.NotifyCommand(command, "$HOME; ls", "a b", "")(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	want := "[$HOME; ls]\n[a b]\n[]\n" + report.String() + "\nrelay.example.com 3 5400 \n/\n"
	if err != nil || string(got) != want {
		t.Errorf("%v, %q\nwant %q", err, got, want)
	}
}

// Time and output of the command are limited.
func TestNotifyCommandFails(t *testing.T) {
	err := gateway.NotifyCommand(script(t, "yes | head -c 100000; exit 3"))(t.Context(), report)
	if err == nil || !strings.Contains(err.Error(), "exit status 3: y\ny") || len(err.Error()) > 4300 {
		t.Errorf("%.200v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := gateway.NotifyCommand(script(t, "exec sleep 1000"))(ctx, report); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if err := gateway.NotifyCommand("/nowhere/at/all")(t.Context(), report); err == nil || !strings.Contains(err.Error(), "/nowhere/at/all") {
		t.Errorf("%v", err)
	}
	if err := gateway.NotifyCommand()(t.Context(), report); err == nil {
		t.Error("no command, no error")
	}
}

func TestNotifyURL(t *testing.T) {
	var got map[string]any
	var status int
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &got); err != nil || r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %v: %s", r.Method, r.Header, err, body)
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		io.WriteString(w, strings.Repeat("x", 10_000))
	}))
	defer web.Close()
	client := web.Client()
	defer client.CloseIdleConnections()
	for status = range map[int]bool{200: true, 204: true} {
		if err := gateway.NotifyURL(web.URL+"/hook/s3cret", client)(t.Context(), report); err != nil {
			t.Errorf("%d: %v", status, err)
		}
		if got["text"] != report.String() || got["messages"] != 3.0 || got["age"] != 5400.0 || got["hostname"] != "relay.example.com" || got["nextHop"] != "upstream" {
			t.Errorf("%v", got)
		}
	}
	for status = range map[int]bool{302: true, 404: true, 500: true} {
		if err := gateway.NotifyURL(web.URL+"/hook/s3cret", client)(t.Context(), report); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%d: %v", status, err)
		}
	}
	web.Close()
	for _, bad := range []string{web.URL + "/hook/s3cret", "http://[s3cret", "s3cret://x"} {
		if err := gateway.NotifyURL(bad, client)(t.Context(), report); err == nil || strings.Contains(err.Error(), "s3cret") && bad != "s3cret://x" {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
