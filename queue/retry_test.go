package queue_test

import (
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

func TestClass(t *testing.T) {
	result := func(o queue.Outcome, host string, code int, e smtp.EnhancedCode) queue.Result {
		return queue.Result{Outcome: o, Host: host, Reply: smtp.SMTPError{Code: code, EnhancedCode: e}}
	}
	for _, test := range []struct {
		r    queue.Result
		want queue.Class
	}{
		{ok, queue.ClassNone},
		{queue.Result{}, queue.ClassNone},
		{result(queue.Deferred, "mx", 450, smtp.EnhancedCode{4, 2, 0}), queue.ClassTemporary},
		{result(queue.Failure, "mx", 550, smtp.EnhancedCode{5, 1, 1}), queue.ClassPermanent},
		{result(queue.Failure, "mx", 550, smtp.EnhancedCode{5, 7, 1}), queue.ClassPolicy},
		{result(queue.Unreachable, "", 451, smtp.EnhancedCode{4, 7, 5}), queue.ClassPolicy},
		{result(queue.Unreachable, "", 421, smtp.EnhancedCode{4, 4, 1}), queue.ClassNetwork},
		{result(queue.Unreachable, "mx", 421, smtp.EnhancedCode{4, 3, 2}), queue.ClassNetwork},
		{result(queue.Deferred, "", 451, smtp.EnhancedCode{4, 4, 2}), queue.ClassNetwork},
		{result(queue.Unreachable, "", 451, smtp.EnhancedCode{4, 4, 3}), queue.ClassDNS},
		{result(queue.Failure, "", 550, smtp.EnhancedCode{5, 4, 4}), queue.ClassDNS},
		{result(queue.Failure, "", 556, smtp.EnhancedCode{5, 1, 10}), queue.ClassDNS},
		{result(queue.Deferred, "", 451, smtp.EnhancedCode{4, 3, 0}), queue.ClassLocal},
	} {
		if got := test.r.Class(); got != test.want {
			t.Errorf("%+v: %v, want %v", test.r, got, test.want)
		}
	}
}

// The default policy retries after 10, 10, 10, then every 15 minutes, with a
// jitter of a tenth, so that mail that failed at the same time is not retried
// at the same time.
func TestRetryDefaults(t *testing.T) {
	var r queue.Retry
	for n, want := range map[int]time.Duration{1: 10 * time.Minute, 2: 10 * time.Minute, 3: 10 * time.Minute, 4: 15 * time.Minute, 100: 15 * time.Minute} {
		seen := map[time.Duration]bool{}
		for range 100 {
			got := r.Wait(n, nil)
			seen[got] = true
			if got < want*9/10 || got > want*11/10 {
				t.Errorf("after attempt %d: %v, want %v", n, got, want)
			}
		}
		if len(seen) < 50 {
			t.Errorf("after attempt %d: only %d different waits", n, len(seen))
		}
	}
	if notice, expiry := r.Lifetime(&queue.Message{}); notice != 12*time.Hour || expiry != 48*time.Hour {
		t.Errorf("notice %v, expiry %v", notice, expiry)
	}
}
