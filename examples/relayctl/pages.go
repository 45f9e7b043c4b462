package main

import (
	"cmp"
	"context"
	"net/url"
	"strconv"
)

// maxRows is the maximum number of rows of a page of the API.
const maxRows = 1000

// pages reads the pages of a list, up to limit rows; 0 means all. show gets each
// page and returns the number of its rows and the value of the parameter that
// selects the next page: after, unless p.next has another name. With -json it prints the pages that have rows, or the last one.
func (s *session) pages(ctx context.Context, path string, p parameters, limit int, show func(document) (rows int, next string, err error)) error {
	if limit < 0 {
		return wrongUsage("-limit must not be negative")
	}
	query := url.Values{}
	for name, values := range p.Values {
		query[name] = values
	}
	found := 0
	for left := limit; ; {
		n := maxRows
		if limit > 0 {
			n = min(left, maxRows)
		}
		query.Set("limit", strconv.Itoa(n))
		doc, err := s.get(ctx, path, query)
		if err != nil {
			return err
		}
		rows, next, err := show(doc)
		if err != nil {
			return err
		}
		left, found = left-rows, found+rows
		if s.json && (rows > 0 || found == 0 && next == "") {
			if err := s.printJSON(doc); err != nil {
				return err
			}
		}
		if next == "" || limit > 0 && left <= 0 {
			return nil
		}
		query.Set(cmp.Or(p.next, "after"), next)
	}
}
