package header_test

import (
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// A line that is not a field ends the header section. Other programs would find
// the From field after it. With the blank line, all programs treat both as body.
func ExampleRepairs() {
	message := "Subject: hello\r\nno field at all\r\nFrom: ceo@example.com\r\n"
	insertions, _ := header.Repairs(strings.NewReader(message), int64(len(message)))
	for _, i := range insertions {
		fmt.Printf("%q at %d\n", i.Text, i.At)
	}
	// Output: "\r\n" at 16
}

func ExampleAll() {
	section := "Subject: a folded\r\n subject\r\nTo : bob@example.org\r\n"
	for f := range header.All([]byte(section)) {
		fmt.Printf("%s: %s\n", f.Name(), f.Value())
	}
	// Output:
	// Subject: a folded subject
	// To: bob@example.org
}

func ExampleAddresses() {
	list, err := header.Addresses(`"Alice" <alice @ example(Inc.) . com>, Friends: bob@example.org;`)
	for _, a := range list {
		fmt.Println(a.Addr)
	}
	fmt.Println(err)
	// Output:
	// alice@example.com
	// bob@example.org
	// <nil>
}

func ExampleAuthorDomain() {
	domain, _ := header.AuthorDomain([]string{`"ceo@example.com" <x@Evil.example>`})
	fmt.Println(domain)
	_, err := header.AuthorDomain([]string{"<x@evil.example> ceo@example.com"})
	fmt.Println(err)
	// Output:
	// evil.example
	// the From field is malformed: "<x@evil.example> ceo@example.com": an address after the one in angle brackets
}

func ExampleParseParams() {
	p := header.ParseParams("attachment; filename*=utf-8''na%C3%AFve.txt; size=10")
	fmt.Println(p.Value, p.Get("size"), p.Extended("filename"))
	// Output: attachment 10 [{utf-8 naïve.txt}]
}
