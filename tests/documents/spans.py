def check(page, protobridge):
    pass
