package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"strings"
)

var exportCommand = command{
	name: "export", args: "[ID...]",
	summary: "write the content of messages to .eml files, or of one to the standard output",
	details: `
The messages are those with the IDs, or all that match the flags. Their files are
ID.eml. Files are not overwritten. A message stays in the queue.

With -envelope, the file also has the envelope, for "relayctl replay". The message
must be suspended, poison or bad mail: otherwise it could be delivered twice.`,
	define: func(fs *flag.FlagSet) action {
		filter := selects(fs)
		dir := fs.String("dir", ".", "the `folder` for the files; - is the standard output, for one message")
		envelope := fs.Bool("envelope", false, "with the envelope")
		return func(ctx context.Context, s *session, args []string) error {
			ids, err := s.ids(ctx, args, filter)
			if err != nil {
				return err
			}
			query := url.Values{}
			if *envelope {
				query.Set("envelope", "yes")
			}
			if *dir == "-" {
				return s.exportOne(ctx, ids, query)
			}
			return s.exportAll(ctx, *dir, ids, query)
		}
	},
}

// maxExport is the maximum number of messages of one export.
const maxExport = 100_000

// ids returns the IDs of messages: the arguments, or those that match the filter.
func (s *session) ids(ctx context.Context, args []string, filter parameters) (ids []string, err error) {
	filtered := len(filter.Values) > 0
	switch {
	case len(args) > 0 && filtered:
		return nil, wrongUsage("export: IDs and flags that select messages exclude each other")
	case len(args) > 0:
		return args, nil
	case !filtered:
		return nil, wrongUsage("export: IDs or flags that select messages are needed")
	}
	quiet := *s
	quiet.json = false
	err = quiet.pages(ctx, "/messages", parameters{Values: maps.Clone(filter.Values)}, maxExport+1, func(doc document) (int, string, error) {
		var page messagePage
		if err := doc.decode(&page); err != nil {
			return 0, "", err
		}
		for _, m := range page.Messages {
			ids = append(ids, m.ID)
		}
		return len(page.Messages), page.Next, nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(ids) == 0:
		return nil, &nothingError{"no message in the queue matches"}
	case len(ids) > maxExport:
		return nil, wrongUsage("export: more than %d messages match", maxExport)
	}
	return ids, nil
}

// exportOne writes one message to the standard output.
func (s *session) exportOne(ctx context.Context, ids []string, query url.Values) error {
	switch {
	case len(ids) != 1:
		return wrongUsage("export: %d messages cannot be written to the standard output, only one", len(ids))
	case s.screen:
		return wrongUsage("export: the content of a message could control the terminal; write it to a file or a pipe")
	}
	content, err := s.content(ctx, ids[0], query)
	if err != nil {
		return notFound(err)
	}
	defer content.Close()
	_, err = io.Copy(s.out, content)
	return err
}

func (s *session) content(ctx context.Context, id string, query url.Values) (io.ReadCloser, error) {
	return s.open(ctx, messageAt(id)+"/content", query, "application/octet-stream, application/problem+json")
}

// exportAll writes messages to files. It continues after a message that has left
// the queue.
func (s *session) exportAll(ctx context.Context, dir string, ids []string, query url.Values) error {
	to, err := os.OpenRoot(dir)
	if err != nil {
		return wrongUsage("-dir: %v", err)
	}
	defer to.Close()
	written := 0
	var missing error
	for _, id := range ids {
		file, err := s.exportFile(ctx, to, id, query)
		var nothing *nothingError
		switch {
		case errors.As(err, &nothing):
			s.note("%s: %v", id, err)
			missing = err
			continue
		case err != nil:
			return fmt.Errorf("%s: %w", id, err)
		}
		written++
		if s.json {
			err = s.printValue(struct {
				ID   string `json:"id"`
				File string `json:"file"`
			}{id, file})
		} else {
			s.print("%s", file)
		}
		if err != nil {
			return err
		}
	}
	if written == 0 {
		return missing
	}
	return nil
}

// exportFile writes one message to a file, and removes the file after an error.
func (s *session) exportFile(ctx context.Context, to *os.Root, id string, query url.Values) (string, error) {
	if strings.ContainsAny(id, `/\`) || strings.HasPrefix(id, ".") {
		return "", wrongUsage("%q is not the ID of a message", id)
	}
	content, err := s.content(ctx, id, query)
	if err != nil {
		return "", notFound(err)
	}
	defer content.Close()
	name := id + ".eml"
	f, err := to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, content)
	if err = errors.Join(err, f.Close()); err != nil {
		to.Remove(name)
		return "", err
	}
	return f.Name(), nil
}
