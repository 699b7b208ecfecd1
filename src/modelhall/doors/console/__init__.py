"""The console: pages for people, at the API's own address, made on the server.

A page is a function of the state: one file of `pages/` gathers what it shows through the functions that the API's
routes use, with the same permissions, and renders one template. Whatever changes something is asked of the API
itself, by the few scripts in `static/`, so the console can do nothing that the API and the command line cannot.
Templates escape all they are given; there is no inline script or style, and nothing is fetched from elsewhere.
"""
