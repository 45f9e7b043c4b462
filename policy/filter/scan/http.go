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

	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// HTTP sends each message to a web service, as a POST request. The body is the
// unchanged message (message/rfc822). These header fields of the request have
// the envelope:
//
//	X-Message-ID, X-Client-IP, X-Helo, X-Identity, X-Mail-From,
//	X-Rcpt-To (one for each recipient)
//
// The service must accept a request header that is long enough for the largest
// number of recipients.
//
// The service replies with status 200 and a [Verdict] in JSON, of at most 64 KiB.
// Every other reply counts as a failure of the service. The fields must not
// change after the first use.
type HTTP struct {
	// URL is the http or https address of the service. A password in it is
	// sent to the service and never logged.
	URL string
	// Client makes the request. The default client does not follow redirects,
	// so that mail is only sent to URL.
	Client *http.Client
	// Header are additional fields of the request, such as Authorization.
	Header http.Header
	// Quarantine is the address that messages with the action "quarantine" are
	// sent to. If it is empty, they are refused with 550 5.7.1.
	Quarantine string
	// MaxSize is the size of the longest message that is sent to the service,
	// in bytes. Default 25 MiB.
	MaxSize int64
	// PassOversize lets messages that are longer than MaxSize pass. Otherwise
	// they are refused with 552 5.3.4.
	PassOversize bool
	// PassWhenDown lets messages pass unscanned when the service fails.
	// Otherwise the client gets a 451 4.7.1.
	PassWhenDown bool
	// Timeout is the limit for the whole request. Default 30 seconds.
	Timeout time.Duration
	// Logger logs failures. Default: that of the gateway.Gateway. If there is
	// none, nothing is logged.
	Logger *slog.Logger

	counters counters
}

// A Verdict is the reply of an HTTP service.
type Verdict struct {
	// Action is "accept", "reject" (550 5.7.1), "tempfail" (451 4.7.1),
	// "discard" or "quarantine".
	Action string `json:"action"`
	// Reply is the text of the SMTP reply for reject and tempfail. Optional.
	Reply string `json:"reply,omitempty"`
	// SCL is a spam confidence level, from -1 to 9. Optional.
	SCL *int `json:"scl,omitempty"`
	// Header are fields to add at the end of the header, at most 100.
	// Optional.
	Header []Field `json:"header,omitempty"`
}

// A Field is a header field.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Validate returns an error that names the first setting that is wrong.
func (h *HTTP) Validate() error {
	u, err := url.Parse(h.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return errors.New("scan: HTTP.URL is not an http or https URL")
	}
	if h.Quarantine != "" {
		if err := envelope.Valid(h.Quarantine); err != nil {
			return fmt.Errorf("scan: HTTP.Quarantine: %w", err)
		}
	}
	return nil
}

// Counters returns the counters. It may be called at any time.
func (h *HTTP) Counters() Counters { return h.counters.read() }

// Inherit sets Logger if it is not set. The server calls it: see
// smtpserver.Agent.Inherit.
func (h *HTTP) Inherit(d smtpserver.Defaults) { d.Fill(nil, &h.Logger) }

// Agent returns an agent that asks the service at the end of data.
func (h *HTTP) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "http scan", Inherit: h.Inherit, EndOfData: h.check}
}

func (h *HTTP) check(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
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
		return &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 3, 4}, Message: fmt.Sprintf("Message is too large to be scanned: the limit is %d bytes", limit)}
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
		return nil, errors.New("scan: HTTP.URL is not a URL")
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
		var u *url.Error // it contains the URL, which may contain a password
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
		return nil, fmt.Errorf("the reply is longer than %d bytes", maxReply)
	}
	v := new(Verdict)
	if err := json.Unmarshal(b, v); err != nil {
		return nil, err
	}
	if v.SCL != nil && (*v.SCL < content.Trusted || *v.SCL > content.Spam) {
		return nil, fmt.Errorf("the verdict has scl %d, which is not from -1 to 9", *v.SCL)
	}
	if len(v.Header) > 100 {
		return nil, fmt.Errorf("the verdict has %d header fields, more than 100", len(v.Header))
	}
	for _, f := range v.Header {
		if header.CheckName(f.Name) != nil {
			return nil, fmt.Errorf("the verdict has an invalid header field name %q", f.Name)
		}
	}
	switch v.Action {
	case "accept", "reject", "tempfail", "discard", "quarantine":
		return v, nil
	}
	return nil, fmt.Errorf("the verdict has an unknown action %q", v.Action)
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
		from := envelope.Addresses(m)
		envelope.Redirect(s, m, h.Quarantine)
		s.Quarantined(h.Quarantine, from...)
	}
	return nil
}
