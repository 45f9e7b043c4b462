package routing

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

func TestFetchReplies(t *testing.T) {
	r := branches(t)
	r.Wake = func(context.Context, func(queue.NextHop) bool) (int, error) { return 0, nil }
	_, serve := box(t)
	for _, c := range []struct {
		method  FetchMethod
		domains []string
		who     string
		want    string
	}{
		{FetchETRN, []string{"north.branch.example"}, "branch", "the provider holds no mail"},
		{FetchETRN, []string{"north.branch.example"}, "stranger", "459"},
		{FetchETRN, nil, "branch", "ETRN needs a domain"},
		{FetchATRN, nil, "stranger", "ATRN request refused"},
		{FetchATRN, nil, "branch", ""}, // turned, and no mail came
		{FetchTURN, nil, "branch", "502"},
	} {
		addr, done := provider(t, r, c.who)
		f := &Fetcher{Transport: &smtpclient.Transport{Hostname: "branch.test"}, Method: c.method, Domains: c.domains, Serve: serve,
			Provider: SmartHost{Host: "[127.0.0.1]" + addr[strings.LastIndex(addr, ":"):]}}
		err := f.Fetch(t.Context())
		done()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v %v by %s: %v, want %q", c.method, c.domains, c.who, err, c.want)
		}
	}
	f := &Fetcher{Transport: &smtpclient.Transport{}, Provider: SmartHost{Host: "[127.0.0.1]:1"}, Method: FetchATRN}
	if err := f.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "Serve is nil") {
		t.Errorf("%v", err)
	}
	f.Provider.Host = "127.0.0.1:smtp"
	if err := f.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "is not a number from 1 to 65535") {
		t.Errorf("%v", err)
	}
}

func TestFetchOnASchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it begins at midnight UTC
		var asked []string
		began := time.Now()
		f := &Fetcher{Provider: SmartHost{Host: "[192.0.2.1]"}, Interval: time.Hour, Domains: []string{"x.example"},
			Schedule: schedule(t, "06:00-08:30", time.UTC),
			Transport: &smtpclient.Transport{HostDownTime: -1, DialContext: func(context.Context, string, string) (net.Conn, error) {
				asked = append(asked, time.Since(began).String())
				return nil, errors.New("busy")
			}}}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Hour+30*time.Minute)
		defer cancel()
		f.Run(ctx)
		if got := strings.Join(asked, " "); got != "6h0m0s 7h0m0s 8h0m0s 30h0m0s" {
			t.Errorf("asked at %s", got)
		}
		f.Schedule = schedule(t, "1999-01-01 10:00-11:00", time.UTC)
		f.Run(t.Context()) // returns, as it would never ask
	})
}

// Run logs a request that has failed as a warning.
func TestFetcherWarns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := &Fetcher{Provider: SmartHost{Host: "[192.0.2.1]"}, Method: FetchETRN, Domains: []string{"x.example"}, Interval: time.Hour,
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Transport: &smtpclient.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				return nil, errors.New("busy")
			}}}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
		defer cancel()
		f.Run(ctx)
		if !strings.Contains(log.String(), `level=WARN msg="requested mail" provider=[192.0.2.1] method=ETRN`) || !strings.Contains(log.String(), "busy") {
			t.Error(log.String())
		}
	})
}
