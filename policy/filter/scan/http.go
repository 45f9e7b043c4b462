package scan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// HTTP asks a web service about each message: a POST of the message as it is
// (message/rfc822), with the envelope in header fields:
//
//	X-Message-ID, X-Client-IP, X-Helo, X-Identity, X-Mail-From,
//	X-Rcpt-To (one for each recipient)
//
// With many recipients that is a long header, which the service must take.
//
// The service answers 200 with a [Verdict] in JSON. Everything else counts as
// a scanner that is down. The fields must not change once it is in use.
type HTTP struct {
	// URL of the service. A password in it is sent and never logged.
	URL string
	// Client makes the request. Default: one that follows no redirection, so
	// that mail goes only where URL says.
	Client *http.Client
	// Header fields for the request, such as Authorization.
	Header http.Header
	// Quarantine is the address for messages that the service wants
	// quarantined. Where it is empty, they are refused with 550 5.7.1.
	Quarantine string
	// MaxSize is the longest message that is sent, in bytes. Default 25 MiB.
	// Longer messages are refused with 552 5.3.4, unless PassOversize.
	MaxSize      int64
	PassOversize bool
	// PassWhenDown lets mail pass unseen when the service cannot be asked.
	PassWhenDown bool
	// Timeout for the request as a whole. Default 30 s.
	Timeout time.Duration
	// Logger hears of failures; nil is silent.
	Logger *slog.Logger

	counters counters
}

// A Verdict is what an HTTP service answers.
type Verdict struct {
	// Action is "accept", "reject", "tempfail", "discard" or "quarantine".
	Action string `json:"action"`
	// Reply is the text for the client of reject and tempfail; optional.
	Reply string `json:"reply,omitempty"`
	// SCL is a spam confidence level, -1 to 9; optional.
	SCL *int `json:"scl,omitempty"`
	// Header fields to add at the end of the header; optional, 100 at most.
	Header []Field `json:"header,omitempty"`
}

// A Field is a header field.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Validate says which setting is wrong.
func (h *HTTP) Validate() error {
	u, err := url.Parse(h.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return errors.New("scan: HTTP.URL is no http or https URL")
	}
	if h.Quarantine != "" {
		if err := envelope.Valid(h.Quarantine); err != nil {
			return fmt.Errorf("scan: HTTP.Quarantine: %w", err)
		}
	}
	return nil
}

// Counters may be called at any time.
func (h *HTTP) Counters() Counters { return h.counters.read() }

// Agent asks at the end of data.
func (h *HTTP) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "http scan", EndOfData: h.judge}
}

func (h *HTTP) judge(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
	body := m.Content()
	limit := h.MaxSize
	if limit <= 0 {
		limit = 25 << 20
	}
	if body.Size() > limit {
		h.counters.oversize.Add(1)
		if h.PassOversize {
			return nil
		}
		return &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 3, 4}, Message: fmt.Sprintf("Message is longer than the %d bytes that can be scanned", limit)}
	}
	v, err := h.ask(ctx, s, m, body)
	if err != nil {
		return h.counters.down(h.Logger, "http", m, h.PassWhenDown, err)
	}
	h.counters.scanned.Add(1)
	if v.SCL != nil {
		content.Rate(s, *v.SCL, "http scan")
	}
	return h.act(s, m, v)
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (h *HTTP) ask(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message, body smtpserver.Content) (*Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, timeoutOr(h.Timeout, 30*time.Second))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, io.NewSectionReader(body, 0, body.Size()))
	if err != nil {
		return nil, errors.New("HTTP.URL is no URL")
	}
	for k, v := range h.Header {
		req.Header[k] = v
	}
	req.ContentLength = body.Size()
	req.Header.Set("Content-Type", "message/rfc822")
	req.Header.Set("X-Message-ID", m.ID)
	req.Header.Set("X-Helo", s.Helo())
	req.Header.Set("X-Identity", s.Identity())
	req.Header.Set("X-Mail-From", m.From)
	if host, _, err := net.SplitHostPort(s.RemoteAddr().String()); err == nil {
		req.Header.Set("X-Client-IP", host)
	}
	for _, r := range m.Recipients {
		req.Header.Add("X-Rcpt-To", r.Addr)
	}
	client := h.Client
	if client == nil {
		client = noRedirects
	}
	resp, err := client.Do(req)
	if err != nil {
		var u *url.Error // it has the URL, perhaps with a password
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s", resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return nil, err
	}
	return parseVerdict(b)
}

func parseVerdict(b []byte) (*Verdict, error) {
	if len(b) > maxReply {
		return nil, fmt.Errorf("the answer has more than %d bytes", maxReply)
	}
	v := new(Verdict)
	if err := json.Unmarshal(b, v); err != nil {
		return nil, err
	}
	if v.SCL != nil && (*v.SCL < content.Trusted || *v.SCL > content.Spam) {
		return nil, fmt.Errorf("scl %d", *v.SCL)
	}
	if len(v.Header) > 100 {
		return nil, fmt.Errorf("%d header fields", len(v.Header))
	}
	for _, f := range v.Header {
		if f.Name == "" || strings.ContainsFunc(f.Name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
			return nil, fmt.Errorf("header field %q", f.Name)
		}
	}
	switch v.Action {
	case "accept", "reject", "tempfail", "discard", "quarantine":
		return v, nil
	}
	return nil, fmt.Errorf("action %q", v.Action)
}

func (h *HTTP) act(s *smtpserver.Session, m *smtpserver.Message, v *Verdict) error {
	if v.Action != "accept" {
		h.counters.found.Add(1)
	}
	text := func(def string) string {
		if v.Reply != "" {
			return v.Reply
		}
		return def
	}
	switch {
	case v.Action == "reject", v.Action == "quarantine" && h.Quarantine == "":
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: text("Refused by a content filter")}
	case v.Action == "tempfail":
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: text("Try again later")}
	case v.Action == "discard":
		return smtpserver.ErrDiscard
	}
	var raw strings.Builder
	for _, f := range v.Header {
		raw.WriteString(envelope.Fold(f.Name, f.Value))
	}
	if err := m.Header.Append(raw.String()); err != nil {
		return h.counters.down(h.Logger, "http", m, h.PassWhenDown, err)
	}
	if v.Action == "quarantine" {
		envelope.Redirect(s, m, h.Quarantine)
	}
	return nil
}
