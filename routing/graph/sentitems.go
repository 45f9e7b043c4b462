package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/queue"
)

const (
	// firstPause is the pause after the first search. The pauses double.
	firstPause = 2 * time.Second
	mostPause  = 30 * time.Second
	// clockError is how much the clock of the relay may be ahead of Graph's.
	clockError = time.Hour
)

var errNoMailRead = errors.New("graph: Sent Items cannot be read (403): grant the application the permission Mail.Read with admin consent")

// search reports which of the recipients an item in Sent Items names. It ends when
// all are found. If Mail.Read is not granted, none is found, and the error is nil: the
// relay must not keep the message forever. Any other error means that the remaining
// recipients may have the message.
func (a *attempt) search(ctx context.Context, id string, rcpts []*queue.Recipient, n searches) (sent []bool, err error) {
	sent = make([]bool, len(rcpts))
	end, pause := time.Now().Add(a.t.searchTime()), min(firstPause, a.t.searchTime()/8)
	for {
		var names map[addr.Key]bool
		names, err = a.look(ctx, id)
		for i, r := range rcpts {
			sent[i] = sent[i] || names[key(r.Addr)]
		}
		switch {
		case errors.Is(err, errNoMailRead):
			a.log().LogAttrs(ctx, slog.LevelWarn, "graph: a message may be sent twice", slog.String("id", a.job.Message.ID), slog.Any("error", err))
			return sent, nil
		case !slices.Contains(sent, false):
			return sent, nil
		}
		wait := max(pause, a.t.mailboxes.held(a.box))
		switch {
		case n == once || time.Now().Add(wait).After(end):
			return sent, err
		case !sleep(ctx, wait):
			return sent, ctx.Err()
		}
		pause = min(2*pause, mostPause)
	}
}

// An item is a message in Sent Items.
type item struct {
	To      []recipient `json:"toRecipients"`
	Cc      []recipient `json:"ccRecipients"`
	Bcc     []recipient `json:"bccRecipients"`
	Headers []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"internetMessageHeaders"`
}

type recipient struct {
	EmailAddress struct {
		Address string `json:"address"`
	} `json:"emailAddress"`
}

// look returns the recipients of the items with the Message-ID.
func (a *attempt) look(ctx context.Context, id string) (map[addr.Key]bool, error) {
	filter := "internetMessageId eq '" + strings.ReplaceAll(id, "'", "''") + "'"
	if since := a.job.Message.Received; !since.IsZero() {
		filter += " and sentDateTime ge " + since.Add(-clockError).UTC().Format(time.RFC3339)
	}
	req, err := a.request(ctx, http.MethodGet, "/mailFolders/sentitems/messages", url.Values{
		"$filter": {filter}, "$top": {"50"},
		"$select": {"toRecipients,ccRecipients,bccRecipients,internetMessageHeaders"},
	})
	if err != nil {
		return nil, err
	}
	var items []item
	ans := a.do(req, nil, func(r io.Reader) (code string, err error) {
		items, err = readItems(ctx, r)
		return "", err
	})
	switch {
	case ans.status == http.StatusForbidden:
		return nil, errNoMailRead
	case ans.status == 0 || ans.status == http.StatusOK && ans.err != nil:
		return nil, ans.err
	case ans.status != http.StatusOK:
		return nil, fmt.Errorf("graph: search in Sent Items: status %d", ans.status)
	}
	names := make(map[addr.Key]bool)
	for i := range items {
		if items[i].foreign(a.job.Message) {
			continue
		}
		for _, r := range slices.Concat(items[i].To, items[i].Cc, items[i].Bcc) {
			names[key(r.EmailAddress.Address)] = true
		}
	}
	return names, nil
}

// readItems reads the response of a search. An incomplete list is an error.
func readItems(ctx context.Context, r io.Reader) ([]item, error) {
	var list struct {
		Value []item `json:"value"`
		Next  string `json:"@odata.nextLink"`
	}
	text, err := io.ReadAll(io.LimitReader(r, maxSearchBody))
	if err != nil {
		err = plain(ctx, err)
	}
	if err == nil && json.Unmarshal(text, &list) != nil {
		err = errors.New("the response is not a list of messages")
	}
	if err == nil && list.Value == nil {
		err = errors.New("the response has no list of messages")
	}
	if err == nil && list.Next != "" {
		err = errors.New("there are too many messages with this Message-ID")
	}
	if err != nil {
		err = fmt.Errorf("graph: search in Sent Items: %w", err)
	}
	return list.Value, err
}

// foreign reports whether an item is another message with the same Message-ID.
func (it *item) foreign(m *queue.Message) bool {
	for _, h := range it.Headers {
		if strings.EqualFold(h.Name, idField) {
			return strings.TrimSpace(h.Value) != mark(m)
		}
	}
	return false
}
