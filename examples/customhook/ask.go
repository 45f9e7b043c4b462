package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A question is the JSON body that the HTTP service gets.
type question struct {
	Client string `json:"client"` // address and port
	Helo   string `json:"helo"`
	From   string `json:"from"`
	To     string `json:"to"`
}

// An answer is the JSON body that the HTTP service returns.
type answer struct {
	Verdict string `json:"verdict"` // accept, refuse, defer
	Text    string `json:"text"`    // for the client
}

// askTime limits how long a client waits for the service. Clients wait five
// minutes for the reply to RCPT (RFC 5321, 4.5.3.2.3).
const askTime = 10 * time.Second

// ask returns an agent that asks an HTTP service about each recipient. The relay
// policy runs first: the service is not asked about a recipient that is refused
// anyway, and its "accept" permits no more than the policy. If the service is
// down or its answer is invalid, the client gets 451 and the log gets the error.
func ask(url string, client *http.Client) smtpserver.Agent {
	return smtpserver.Agent{Name: "ask", Rcpt: func(ctx context.Context, s *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
		ctx, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		var a answer
		q := question{Client: s.RemoteAddr().String(), Helo: s.RawHelo(), From: s.Message().From, To: to}
		if err := post(ctx, client, url, &q, &a); err != nil {
			return fmt.Errorf("asking %s: %w", url, err)
		}
		switch a.Verdict {
		case "accept":
			return nil
		case "refuse":
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: a.Text}
		case "defer":
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: a.Text}
		}
		return fmt.Errorf("asking %s: unknown verdict %q", url, a.Verdict)
	}}
}

func post(ctx context.Context, client *http.Client, url string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(answer)
}
