package main

import (
	"context"
	"flag"
	"net/url"
	"strconv"
	"strings"
	"time"
)

var blocksCommand = command{
	name: "blocks", args: "[end ADDRESS]",
	summary: "list the clients that are refused because of their reputation, or end such a block",
	details: `
"blocks end ADDRESS" ends the block of a client, or of all clients in a network
(192.0.2.0/24). The relay also forgets how they behaved.`,
	define: func(fs *flag.FlagSet) action {
		by := confirms(fs)
		address := fs.String("address", "", "only blocks in this IP `address` or network, for example 192.0.2.0/24")
		return func(ctx context.Context, s *session, args []string) error {
			switch {
			case len(args) == 0:
				return listBlocks(ctx, s, *address)
			case len(args) == 2 && args[0] == "end" && args[1] != "":
				form := url.Values{"address": {args[1]}}
				return s.change(ctx, change{path: "/blocks/unblock", form: form, counts: "block", counted: "block"}, by)
			}
			return wrongUsage("blocks takes no arguments, or end ADDRESS")
		}
	},
}

// A blockPage is a page of /blocks.
type blockPage struct {
	Blocks []struct {
		Network           string
		Until             time.Time
		ReceiveConnectors []string
	}
	Next int
}

func listBlocks(ctx context.Context, s *session, address string) error {
	t := newTable("CLIENT", "CONNECTORS", "UNTIL", "ENDS")
	shown := 0
	for page := 1; page > 0; {
		query := url.Values{"page": {strconv.Itoa(page)}, "limit": {strconv.Itoa(maxRows)}}
		if address != "" {
			query.Set("address", address)
		}
		doc, err := s.get(ctx, "/blocks", query)
		if err != nil {
			return err
		}
		var p blockPage
		if err := doc.decode(&p); err != nil {
			return err
		}
		if s.json {
			if err := s.printJSON(doc); err != nil {
				return err
			}
		}
		for _, one := range p.Blocks {
			t.add(one.Network, strings.Join(one.ReceiveConnectors, ", "), stamp(one.Until), until(one.Until))
		}
		shown, page = shown+len(p.Blocks), p.Next
	}
	switch {
	case shown == 0:
		return &nothingError{"no client is blocked"}
	case s.json:
		return nil
	}
	return t.write(s.out)
}
