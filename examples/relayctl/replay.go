package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
)

var replayCommand = command{
	name: "replay", args: "FILE...",
	summary: "submit messages that were exported with their envelopes",
	details: `
The files are those of "relayctl export -envelope". Each replay of a file sends its
message again. Without -yes, the command shows what would be sent, and asks on a
terminal.`,
	define: func(fs *flag.FlagSet) action {
		by := confirms(fs)
		return func(ctx context.Context, s *session, args []string) error {
			if len(args) == 0 {
				return wrongUsage("replay needs the names of files")
			}
			return s.replay(ctx, args, by)
		}
	},
}

// maxReplay is the maximum size of a file in bytes. The console may have a lower
// limit.
const maxReplay = 256 << 20

// replay submits files, after all of them were checked.
func (s *session) replay(ctx context.Context, files []string, by *confirmation) error {
	if err := by.check(); err != nil {
		return err
	}
	for _, name := range files { // a file with a mistake must not stop a replay half-way
		if err := s.replayFile(ctx, name, url.Values{}, by.yes); err != nil {
			return err
		}
	}
	if !by.yes {
		if err := s.confirm(ctx, by); err != nil {
			return err
		}
	}
	for _, name := range files {
		if err := s.replayFile(ctx, name, url.Values{"confirm": {"yes"}, "reason": {by.reason}}, false); err != nil {
			return err
		}
	}
	return nil
}

// replayFile sends a file to the console and prints the answer.
func (s *session) replayFile(ctx context.Context, name string, form url.Values, quiet bool) error {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Size() > maxReplay:
		return fmt.Errorf("%s is not a file of at most %s", name, size(maxReplay))
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	doc, err := s.upload(ctx, "/replay", form, "message", content)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var o outcome
	if err := doc.decode(&o); err != nil {
		return err
	}
	switch {
	case quiet:
		return nil
	case s.json:
		return s.printJSON(doc)
	case o.Done:
		s.print("%s: %s: done", name, o.Action)
	default:
		s.print("%s: %s", name, o.Action)
	}
	return nil
}

// upload sends a form with a file (RFC 7578).
func (c *client) upload(ctx context.Context, path string, form url.Values, parameter string, content []byte) (document, error) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name := range form {
		if err := w.WriteField(name, form.Get(name)); err != nil {
			return nil, err
		}
	}
	part, err := w.CreateFormFile(parameter, "message.eml")
	if err == nil {
		_, err = part.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, err
	}
	return c.exchange(ctx, changeTime, http.MethodPost, path, w.FormDataContentType(), &body)
}
