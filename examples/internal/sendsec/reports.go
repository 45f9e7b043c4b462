package sendsec

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
	"golang.org/x/sync/errgroup"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient/tlsrpt"
)

const (
	// origin is the Origin.Connector of reports in the queue.
	origin = "tls-reports"
	// maxSpread is the largest delay of the reports of a day. Many relays take their
	// counts at the same time (RFC 8460, 4.1).
	maxSpread = 4 * time.Hour
	// retry is the time between two attempts to deliver a report, and maxRetry the time
	// after which it is dropped (RFC 8460, 5.5).
	retry    = time.Hour
	maxRetry = 24 * time.Hour
	// parallel is the number of reports that are delivered at the same time.
	parallel = 10
)

// A reporter counts TLS sessions and sends the reports about them.
type reporter struct {
	collector tlsrpt.Collector
	resolver  routing.Resolver
	client    *http.Client
	queue     *queue.Queue
	log       *slog.Logger
	file      string // keeps the counts while the gateway does not run

	mu      sync.Mutex // guards pending
	pending []*pending
}

// pending is a report that is not sent yet.
type pending struct {
	Report *tlsrpt.Report
	URIs   []string  // where it is to be sent; nil before the lookup
	Tried  time.Time // the first attempt; zero if there was none
}

// send takes the counts at midnight (UTC) and sends the reports, until ctx ends.
func (s *state) send(ctx context.Context) error {
	if err := s.load(); err != nil {
		s.log.Error("the counts for TLS reports of the previous process are lost", "error", err)
	}
	midnight, delivery := time.NewTimer(untilMidnight(time.Now())), time.NewTimer(maxSpread)
	delivery.Stop()
	defer midnight.Stop()
	defer delivery.Stop()
	waiting := false // delivery runs
	for {
		settings := s.inUse.Load()
		select {
		case <-midnight.C:
			midnight.Reset(untilMidnight(time.Now()))
			s.take()
			if !waiting { // otherwise the next attempt for older reports sends these too
				waiting = true
				delivery.Reset(rand.N(maxSpread))
			}
		case <-settings.due:
			s.take()
			waiting = true
			delivery.Reset(0)
		case <-delivery.C:
			waiting = settings.reports != "" && s.deliver(ctx, settings) > 0
			if waiting {
				delivery.Reset(retry)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func untilMidnight(now time.Time) time.Duration {
	return now.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now)
}

// take moves the counts to pending.
func (r *reporter) take() {
	now := time.Now()
	reports := r.collector.Take(now)
	r.mu.Lock()
	defer r.mu.Unlock()
	var keep []*pending
	for _, p := range r.pending {
		if now.Sub(p.Report.End) < 2*maxRetry {
			keep = append(keep, p)
		}
	}
	for _, report := range reports {
		keep = append(keep, &pending{Report: report})
	}
	r.pending = keep
}

// deliver sends the reports that are pending, and returns the number of those that
// must be tried again. Only send calls it.
func (r *reporter) deliver(ctx context.Context, i *Internet) (again int) {
	r.mu.Lock()
	all := r.pending
	r.mu.Unlock()
	var sending errgroup.Group
	sending.SetLimit(parallel)
	done := make([]bool, len(all))
	for n, p := range all {
		sending.Go(func() error {
			done[n] = r.sendOne(ctx, i, p)
			return nil
		})
	}
	sending.Wait()
	var keep []*pending
	for n, p := range all {
		if !done[n] {
			keep = append(keep, p)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = keep
	return len(keep)
}

// sendOne sends a report to each address that the domain requests. It reports true if
// there is nothing more to do.
func (r *reporter) sendOne(ctx context.Context, i *Internet, p *pending) (done bool) {
	now := time.Now()
	if p.Tried.IsZero() {
		p.Tried = now
	}
	log := r.log.With("domain", p.Report.Domain, "report", p.Report.ID)
	if p.URIs == nil {
		txts, err := routing.LookupTXT(ctx, r.resolver, "_smtp._tls."+p.Report.Domain) // RFC 8460, 3
		if err != nil {
			return r.failed(ctx, log, p, "_smtp._tls."+p.Report.Domain, err)
		}
		p.URIs = tlsrpt.ParseRecord(txts)
	}
	var left []string
	for _, uri := range p.URIs {
		err := r.sendTo(ctx, i, p.Report, uri)
		switch {
		case err == nil:
			log.Info("TLS report sent", "to", uri)
		case !r.failed(ctx, log, p, uri, err):
			left = append(left, uri)
		}
	}
	p.URIs = left
	return len(left) == 0
}

// failed logs a failure. It reports true if there must be no other attempt.
func (r *reporter) failed(ctx context.Context, log *slog.Logger, p *pending, to string, err error) bool {
	if ctx.Err() != nil { // the gateway stops
		return false
	}
	var reply *smtp.SMTPError
	final := time.Since(p.Tried) >= maxRetry || errors.Is(err, errURI) || errors.As(err, &reply) && reply.Code/100 == 5
	log.Warn("TLS report not sent", "to", to, "again", !final, "error", err)
	return final
}

var errURI = errors.New("the URI is not valid")

// sendTo sends a report to one URI.
func (r *reporter) sendTo(ctx context.Context, i *Internet, report *tlsrpt.Report, uri string) error {
	_, domain, _ := strings.Cut(i.reports, "@")
	full := *report
	full.Organization, full.Contact = cmp.Or(i.organization, domain), i.reports
	u, err := url.Parse(uri)
	if err != nil {
		return errURI
	}
	if u.Scheme == "https" {
		return full.Post(ctx, r.client, uri)
	}
	to, err := url.PathUnescape(u.Opaque) // RFC 6068; a subject is fixed by RFC 8460, 5.3
	if err != nil {
		return errURI
	}
	text, err := full.Message(i.reports, to, domain)
	if err != nil {
		return errURI // it has characters that the header must not have
	}
	return r.queue.Submit(ctx, &queue.Message{
		From: i.reports, Recipients: queue.Rcpt(to), Content: queue.Bytes(text), Origin: queue.Origin{Connector: origin},
	})
}
